// SPDX-License-Identifier: Apache-2.0
// The C++ structs are what wire-format/layout.json says; most of this file's checks are made by the compiler.
#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "layout_check.hpp"  // generated from layout.json by cmake/layout_check.cmake
#include "shmlane/wire_array.hpp"

namespace {

namespace wire = shmlane::wire;

// Words that different sides write must not share a cache line, or each store would cost the other side a miss.
constexpr std::size_t line_of(std::size_t offset) { return offset / wire::kAlignment; }
static_assert(line_of(offsetof(wire::RingControl, producers_lock)) == line_of(offsetof(wire::RingControl, tail)));
static_assert(line_of(offsetof(wire::RingControl, tail)) < line_of(offsetof(wire::RingControl, head)));
static_assert(line_of(offsetof(wire::RingControl, head)) < line_of(offsetof(wire::RingControl, consumers_lock)));
static_assert(line_of(offsetof(wire::RingControl, scan)) == line_of(offsetof(wire::RingControl, consumers_lock)));
static_assert(line_of(offsetof(wire::RingControl, skipped_count)) < line_of(offsetof(wire::RingControl, read)));
static_assert(line_of(offsetof(wire::RingControl, read)) < line_of(offsetof(wire::RingControl, items_waiters)));
static_assert(line_of(offsetof(wire::RingControl, items_waiters)) <
              line_of(offsetof(wire::RingControl, space_waiters)));
static_assert(line_of(offsetof(wire::RingControl, space_waiters)) < line_of(offsetof(wire::RingControl, skipped)));
static_assert(offsetof(wire::RingControl, skipped) % wire::kAlignment == 0);
static_assert(line_of(offsetof(wire::StreamControl, written_ns)) < line_of(offsetof(wire::StreamControl, published)));
static_assert(line_of(offsetof(wire::StreamControl, published)) < line_of(offsetof(wire::StreamControl, value_bell)));
static_assert(line_of(offsetof(wire::StreamControl, value_bell)) < line_of(offsetof(wire::StreamControl, lock_bell)));
static_assert(line_of(offsetof(wire::TensorControl, write_lock)) < line_of(offsetof(wire::TensorControl, lock_bell)));
static_assert(offsetof(wire::StreamControl, write_lock) == offsetof(wire::TensorControl, write_lock));
static_assert(sizeof(wire::ParticipantEntry) % wire::kAlignment == 0, "entries of two owners share no cache line");

// Every part of a segment is mapped by itself or read by itself, so it begins at a page.
static_assert(sizeof(wire::SegmentHeader) <= wire::kTableOffset);
static_assert(wire::kControlOffset == wire::kTableOffset + wire::kMaxParticipants * sizeof(wire::ParticipantEntry));
static_assert(sizeof(wire::RingControl) <= wire::kBodyOffset - wire::kControlOffset);
static_assert(wire::kControlOffset + sizeof(wire::StreamControl) <= wire::kArrayOffset);
static_assert(wire::kControlOffset + sizeof(wire::TensorControl) <= wire::kArrayOffset);
static_assert(wire::kArrayOffset + sizeof(wire::ArrayHeader) <= wire::kBodyOffset);
static_assert(wire::kTableOffset % wire::kPageSize == 0 && wire::kControlOffset % wire::kPageSize == 0);
static_assert(wire::kBodyOffset % wire::kPageSize == 0);

// The header, the close sentinel and an empty payload are the smallest frame; a PAD needs no more.
static_assert(wire::frame_extent(0, 0) == wire::kAlignment);
static_assert(wire::payload_offset(16) == 64 && wire::payload_offset(17) == 128);
static_assert(wire::frame_extent(16, 1) == 128 && wire::frame_extent(16, 64) == 128 &&
              wire::frame_extent(16, 65) == 192);

std::string read_file(const std::string& path) {
  std::ifstream file(std::string(SHMLANE_SOURCE_DIR "/") + path);
  REQUIRE_MESSAGE(file, "cannot read ", path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool in_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::string word_at(const std::string& text, std::size_t start) {
  const auto begin = text.begin() + static_cast<std::ptrdiff_t>(start);
  return {begin, std::find_if_not(begin, text.end(), in_word)};
}

// The words right after `prefix`, wherever that stands.
std::vector<std::string> words_after(const std::string& text, std::string_view prefix) {
  std::vector<std::string> words;
  for (std::size_t at = text.find(prefix); at != text.npos; at = text.find(prefix, at + 1)) {
    words.push_back(word_at(text, at + prefix.size()));
  }
  return words;
}

std::set<std::string> as_set(const std::vector<std::string>& words) { return {words.begin(), words.end()}; }

// The names of "inline constexpr some::type kName".
std::set<std::string> constants_of(const std::string& source) {
  constexpr std::string_view kPrefix = "\ninline constexpr ";
  std::set<std::string> names;
  for (std::size_t at = source.find(kPrefix); at != source.npos; at = source.find(kPrefix, at + 1)) {
    names.insert(word_at(source, source.find(' ', at + kPrefix.size()) + 1));
  }
  return names;
}

std::set<std::string> keys(const nlohmann::json& object) {
  std::set<std::string> found;
  for (const auto& [key, value] : object.items()) found.insert(key);
  return found;
}

std::string wire_headers() {
  return read_file("cpp/include/shmlane/wire.hpp") + read_file("cpp/include/shmlane/wire_array.hpp");
}

TEST_CASE("layout.json names every struct and every enum of the wire format") {
  const auto layout = nlohmann::json::parse(read_file("wire-format/layout.json"));
  const std::string source = wire_headers();
  CHECK(keys(layout["structs"]) == as_set(words_after(source, "\nstruct ")));
  CHECK(keys(layout["enums"]) == as_set(words_after(source, "\nenum class ")));
}

TEST_CASE("layout.json names every constant of the wire format") {
  const auto layout = nlohmann::json::parse(read_file("wire-format/layout.json"));
  const std::string source = wire_headers();
  std::set<std::string> named;
  for (const std::string& key : keys(layout["constants"])) {
    std::string name = "k";
    for (std::size_t i = 0; i < key.size(); ++i) {
      const bool first = i == 0 || key[i - 1] == '_';
      if (key[i] != '_') name += first ? static_cast<char>(std::toupper(key[i])) : key[i];
    }
    named.insert(name);
  }
  named.insert({"kVersion", "kLayout"});
  CHECK(named == constants_of(source));
}

TEST_CASE("SPEC.md names every field of every struct") {
  const auto layout = nlohmann::json::parse(read_file("wire-format/layout.json"));
  const std::string spec = read_file("wire-format/SPEC.md");
  for (const auto& [name, structure] : layout["structs"].items()) {
    CHECK_MESSAGE(spec.find("`" + name + "`") != std::string::npos, name);
    for (const auto& field : structure["fields"]) {
      const std::string text = field["name"].get<std::string>();
      if (!text.starts_with("reserved")) CHECK_MESSAGE(spec.find("`" + text + "`") != std::string::npos, text);
    }
  }
}

// The numbers n of all rules W-n.
std::vector<std::string> rules_of(const std::string& spec) { return words_after(spec, "\n**W-"); }

TEST_CASE("no two rules of SPEC.md have one number") {
  const auto rules = rules_of(read_file("wire-format/SPEC.md"));
  CHECK(rules.size() > 50);
  CHECK(as_set(rules).size() == rules.size());
}

TEST_CASE("every rule that the sources, the tests and the vectors cite stands in SPEC.md") {
  const std::set<std::string> rules = as_set(rules_of(read_file("wire-format/SPEC.md")));
  const std::set<std::string> kinds{".hpp", ".cpp", ".py", ".pyi", ".json"};
  for (const char* folder : {"cpp", "python", "tests", "wire-format"}) {
    for (const auto& file :
         std::filesystem::recursive_directory_iterator(SHMLANE_SOURCE_DIR "/" + std::string(folder))) {
      if (!file.is_regular_file() || !kinds.contains(file.path().extension())) continue;
      const std::string path = std::filesystem::relative(file.path(), SHMLANE_SOURCE_DIR);
      for (const std::string& rule : words_after(read_file(path), "W-")) {
        const bool number =
            !rule.empty() && std::all_of(rule.begin(), rule.end(), [](char c) { return c >= '0' && c <= '9'; });
        if (number) CHECK_MESSAGE(rules.contains(rule), path, " cites W-", rule);
      }
    }
  }
}

}  // namespace
