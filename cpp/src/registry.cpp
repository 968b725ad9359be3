// SPDX-License-Identifier: Apache-2.0
// The look-up of custom types, and the codecs of their objects.
#include "shmlane/registry.hpp"

#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <typeindex>

#include "fields.hpp"
#include "json_text.hpp"
#include "shmlane/log.hpp"
#include "utf8.hpp"

namespace shmlane {
namespace {

// Type names come from other processes: what is remembered of them has an end.
constexpr std::size_t kMaxWarnings = 1000;

// The keys in the order in which people look for them.
std::string metadata_text(const Metadata& metadata) {
  std::string text = R"({"type":)";
  append_json_text(text, metadata.type);
  const auto append = [&](const std::string& key, const Json& value) {
    append_json_text(text += ',', key);
    append_json_text(text += ':', value);
  };
  const auto version = metadata.json.find("version");
  if (version != metadata.json.end()) append("version", *version);
  for (const auto& [key, value] : metadata.json.get_ref<const Json::object_t&>()) {
    if (key != "type" && key != "version") append(key, value);
  }
  return text += '}';
}

std::shared_ptr<const Metadata> custom_metadata(const std::string& type, std::uint32_t version, Json extra) {
  if (extra.is_null()) extra = Json::object();
  if (!extra.is_object() || extra.contains("type") || extra.contains("version")) {
    throw InvalidArgument("the extra metadata of type " + shmlane::quoted(type) +
                          " is not a JSON object without the keys type and version");
  }
  extra["type"] = type;
  extra["version"] = version;
  return std::make_shared<const Metadata>(Metadata{type, std::move(extra)});
}

}  // namespace

struct Registry::Entry {
  std::string type;
  std::uint32_t version;
  const std::type_info* of;
  EncodeFunction encode;
  DecodeFunction decode;
};

struct Registry::State {
  using Shared = std::shared_ptr<const Entry>;
  std::shared_mutex mutex;  // guards all below
  std::map<std::string, std::map<std::uint32_t, Shared>, std::less<>> by_name;
  std::map<std::type_index, Shared> by_type;
  std::set<std::string> warned;
};

Registry::Registry() : state_(std::make_unique<State>()) {}
Registry::~Registry() = default;

Registry& Registry::global() {
  static auto* const registry = new Registry;  // never destroyed: other static objects may still push when they end
  return *registry;
}

void Registry::add_entry(std::string_view type, std::uint32_t version, const std::type_info& of, EncodeFunction encoder,
                         DecodeFunction decoder) {
  if (type.empty() || !valid_utf8(type)) throw InvalidArgument("the name of a type is not empty, and is UTF-8");
  if (version == 0) throw InvalidArgument("the versions of type " + shmlane::quoted(type) + " are 1 and above");
  auto entry =
      std::make_shared<const Entry>(Entry{std::string(type), version, &of, std::move(encoder), std::move(decoder)});
  const std::lock_guard lock(state_->mutex);
  state_->by_name[entry->type][version] = entry;
  state_->by_type[of] = std::move(entry);
}

bool Registry::remove(std::string_view type, std::uint32_t version) {
  const std::lock_guard lock(state_->mutex);
  const auto versions = state_->by_name.find(type);
  if (versions == state_->by_name.end()) return false;
  const auto found = versions->second.find(version);
  if (found == versions->second.end()) return false;
  const auto by_type = state_->by_type.find(*found->second->of);
  if (by_type != state_->by_type.end() && by_type->second == found->second) state_->by_type.erase(by_type);
  versions->second.erase(found);
  return true;
}

std::shared_ptr<const Registry::Entry> Registry::find(const Json& metadata) const {
  const auto version = version_of(metadata);
  if (!version) return nullptr;
  const std::string& type = Fields(metadata).text("type");
  const std::shared_lock lock(state_->mutex);
  const auto versions = state_->by_name.find(type);
  if (versions == state_->by_name.end()) return nullptr;
  const auto found = versions->second.find(*version);
  return found == versions->second.end() ? nullptr : found->second;
}

std::shared_ptr<const Registry::Entry> Registry::find(const std::type_info& of) const {
  const std::shared_lock lock(state_->mutex);
  const auto found = state_->by_type.find(of);
  return found == state_->by_type.end() ? nullptr : found->second;
}

std::optional<Custom> Registry::decode(const Unknown& frame) const {
  const auto entry = find(frame.metadata->json);
  if (!entry) return std::nullopt;
  return Custom(frame, entry->decode(*frame.metadata, frame.payload), entry->of);
}

void Registry::warn_once(const Metadata& metadata, std::string_view why) const {
  const auto version = version_of(metadata.json);
  std::string what = "objects of type " + shmlane::quoted(metadata.type);
  if (!version) what += " and no proper version";
  if (version && *version != 0) what += " and version " + std::to_string(*version);
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->warned.size() >= kMaxWarnings || !state_->warned.insert(what).second) return;
  }
  log(LogLevel::kWarning, what.append(" arrive as raw bytes with their metadata: ").append(why));
}

void Custom::encode(const Registry& registry) {
  const auto entry = registry.find(*object_type_);
  if (!entry) throw UnsupportedType(std::string("no codec is registered for the C++ type ") + object_type_->name());
  Encoded encoded = entry->encode(object_.get());
  frame_.metadata = custom_metadata(entry->type, entry->version, std::move(encoded.extra_metadata));
  owned_payload_ = std::make_shared<const std::vector<std::byte>>(std::move(encoded.payload));
  frame_.payload = *owned_payload_;
}

std::string Codec<Unknown>::metadata(const Unknown& frame) { return metadata_text(*frame.metadata); }

void Codec<Unknown>::write(const Unknown& frame, std::span<std::byte> out) {
  if (out.size() != frame.payload.size()) throw InvalidArgument("an object changed while it was being written");
  if (!out.empty()) std::memcpy(out.data(), frame.payload.data(), out.size());
}

Unknown Codec<Unknown>::read(const Metadata& metadata, std::span<const std::byte> payload) {
  return {std::make_shared<const Metadata>(metadata), payload};
}

std::string Codec<Custom>::metadata(const Custom& custom) { return metadata_text(custom.metadata()); }

void Codec<Custom>::write(const Custom& custom, std::span<std::byte> out) {
  if (out.size() != custom.payload().size()) throw InvalidArgument("an object changed while it was being written");
  if (!out.empty()) std::memcpy(out.data(), custom.payload().data(), out.size());
}

Custom Codec<Custom>::read(const Metadata& metadata, std::span<const std::byte> payload) {
  auto custom = Registry::global().decode(Codec<Unknown>::read(metadata, payload));
  if (!custom) {
    throw WrongType("no codec is registered for objects of type " + shmlane::quoted(metadata.type) +
                    " and their version");
  }
  return *std::move(custom);
}

}  // namespace shmlane
