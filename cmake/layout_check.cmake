# SPDX-License-Identifier: Apache-2.0
# Turns wire-format/layout.json into static assertions on the C++ structs of shmlane/wire.hpp and wire_array.hpp, with CMake alone.
#
#   shmlane_layout_check(<layout.json> <header to write>)
#
# The header holds one assertion per constant, enumerator, struct and field (offset, size, type), and one that no bytes
# lie between fields: a field, offset or value that only one side has, or has otherwise, does not compile.

# "table_offset" in JSON is kTableOffset in C++.
function(_shmlane_constant_name name result)
  string(REPLACE "_" ";" words "${name}")
  set(joined "k")
  foreach(word IN LISTS words)
    string(SUBSTRING "${word}" 0 1 first)
    string(SUBSTRING "${word}" 1 -1 rest)
    string(TOUPPER "${first}" first)
    string(APPEND joined "${first}${rest}")
  endforeach()
  set(${result} "${joined}" PARENT_SCOPE)
endfunction()

# "u64[5]" in JSON is std::uint64_t[5] in C++.
function(_shmlane_type_name name result)
  string(REGEX REPLACE "^u([0-9]+)" "std::uint\\1_t" name "${name}")
  string(REGEX REPLACE "^Line$" "shmlane::wire::Line" name "${name}")
  set(${result} "${name}" PARENT_SCOPE)
endfunction()

function(_shmlane_check_constants json result)
  set(text "")
  string(JSON count LENGTH "${json}" constants)
  math(EXPR last "${count} - 1")
  foreach(i RANGE ${last})
    string(JSON key MEMBER "${json}" constants ${i})
    string(JSON value GET "${json}" constants ${key})
    _shmlane_constant_name("${key}" name)
    string(APPEND text "static_assert(shmlane::wire::${name} == ${value}, \"layout.json: ${key}\");\n")
  endforeach()
  foreach(key IN ITEMS version layout)
    string(JSON value GET "${json}" ${key})
    _shmlane_constant_name("${key}" name)
    string(APPEND text "static_assert(shmlane::wire::${name} == ${value}, \"layout.json: ${key}\");\n")
  endforeach()
  set(${result} "${text}" PARENT_SCOPE)
endfunction()

function(_shmlane_check_enums json result)
  set(text "")
  string(JSON count LENGTH "${json}" enums)
  math(EXPR last "${count} - 1")
  foreach(i RANGE ${last})
    string(JSON enum MEMBER "${json}" enums ${i})
    string(JSON type GET "${json}" enums ${enum} type)
    _shmlane_type_name("${type}" type)
    set(cxx "shmlane::wire::${enum}")
    string(APPEND text "static_assert(std::is_same_v<std::underlying_type_t<${cxx}>, ${type}>, \"layout.json: ${enum}\");\n")
    string(JSON values GET "${json}" enums ${enum} values)
    string(JSON value_count LENGTH "${values}")
    math(EXPR last_value "${value_count} - 1")
    foreach(j RANGE ${last_value})
      string(JSON key MEMBER "${values}" ${j})
      string(JSON value GET "${values}" ${key})
      _shmlane_constant_name("${key}" name)
      string(APPEND text "static_assert(static_cast<${type}>(${cxx}::${name}) == ${value}, \"layout.json: ${enum} ${key}\");\n")
    endforeach()
  endforeach()
  set(${result} "${text}" PARENT_SCOPE)
endfunction()

function(_shmlane_check_struct struct json result)
  set(cxx "shmlane::wire::${struct}")
  set(text "")
  set(end 0)
  string(JSON size GET "${json}" size)
  string(JSON fields GET "${json}" fields)
  string(JSON count LENGTH "${fields}")
  math(EXPR last "${count} - 1")
  foreach(i RANGE ${last})
    foreach(key IN ITEMS name offset size type)
      string(JSON field_${key} GET "${fields}" ${i} ${key})
    endforeach()
    _shmlane_type_name("${field_type}" field_type)
    set(where "layout.json: ${struct}.${field_name}")
    string(APPEND text
      "static_assert(offsetof(${cxx}, ${field_name}) == ${field_offset}, \"${where} has another offset\");\n"
      "static_assert(sizeof(${cxx}::${field_name}) == ${field_size}, \"${where} has another size\");\n"
      "static_assert(std::is_same_v<decltype(${cxx}::${field_name}), ${field_type}>, \"${where} has another type\");\n"
      "static_assert(${field_offset} == ${end}, \"${where} does not follow the field before it\");\n")
    math(EXPR end "${field_offset} + ${field_size}")
  endforeach()
  string(APPEND text
    "static_assert(sizeof(${cxx}) == ${size}, \"layout.json: ${struct} has another size\");\n"
    "static_assert(${end} == ${size}, \"layout.json: ${struct} has bytes without a name\");\n"
    "static_assert(std::is_trivially_copyable_v<${cxx}> && std::is_standard_layout_v<${cxx}>);\n\n")
  set(${result} "${text}" PARENT_SCOPE)
endfunction()

function(shmlane_layout_check layout header)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${layout}")
  file(READ "${layout}" json)
  _shmlane_check_constants("${json}" constants)
  _shmlane_check_enums("${json}" enums)
  set(structs "")
  string(JSON count LENGTH "${json}" structs)
  math(EXPR last "${count} - 1")
  foreach(i RANGE ${last})
    string(JSON struct MEMBER "${json}" structs ${i})
    string(JSON struct_json GET "${json}" structs ${struct})
    _shmlane_check_struct(${struct} "${struct_json}" text)
    string(APPEND structs "${text}")
  endforeach()
  file(CONFIGURE OUTPUT "${header}" @ONLY CONTENT
"// SPDX-License-Identifier: Apache-2.0
// Generated from wire-format/layout.json: the C++ structs are held to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include \"shmlane/wire_array.hpp\"

@constants@
@enums@
@structs@")
endfunction()
