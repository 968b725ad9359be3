// SPDX-License-Identifier: Apache-2.0
// Metadata parsed once: a few of each thread's last texts are remembered with their meaning (SPEC section 8).
#include "shmlane/codec.hpp"

#include <array>
#include <cstddef>
#include <utility>

#include "json_text.hpp"
#include "shmlane/error.hpp"

namespace shmlane {
namespace {

constexpr std::size_t kRemembered = 8;             // a batch of named arrays of changing shapes fits
constexpr std::size_t kLongestRemembered = 16384;  // bytes; a thread shall not keep megabytes alive

std::shared_ptr<const Metadata> parse(std::string_view text) {
  if (text.empty() || text.front() != '{') throw Corrupt("metadata is not a JSON object: " + quoted(text));
  Json json;
  try {
    json = parse_json_text(text);
  } catch (const Corrupt& error) {
    throw Corrupt("metadata is " + std::string(error.what()) + ": " + quoted(text));
  }
  const auto type = json.find("type");
  if (type == json.end()) throw Corrupt("metadata has no \"type\": " + quoted(text));
  if (!type->is_string()) throw Corrupt("the \"type\" in metadata is not a string: " + quoted(text));
  std::string name = type->get<std::string>();
  return std::make_shared<const Metadata>(Metadata{std::move(name), std::move(json)});
}

class Memory {
 public:
  std::shared_ptr<const Metadata> find(std::string_view text) const noexcept {
    for (const Entry& entry : entries_) {
      if (entry.text == text && entry.metadata) return entry.metadata;
    }
    return nullptr;
  }

  void remember(std::string text, const std::shared_ptr<const Metadata>& metadata) {
    entries_[next_] = {std::move(text), metadata};
    next_ = (next_ + 1) % kRemembered;
  }

 private:
  struct Entry {
    std::string text;
    std::shared_ptr<const Metadata> metadata;
  };
  std::array<Entry, kRemembered> entries_;
  std::size_t next_ = 0;
};

}  // namespace

std::shared_ptr<const Metadata> parse_metadata(std::string_view text) {
  thread_local Memory memory;
  if (auto known = memory.find(text)) return known;
  // A private copy first: the text may lie in shared memory, and what is parsed must be what is remembered.
  std::string copy(text);
  auto metadata = parse(copy);
  if (copy.size() <= kLongestRemembered) memory.remember(std::move(copy), metadata);
  return metadata;
}

}  // namespace shmlane
