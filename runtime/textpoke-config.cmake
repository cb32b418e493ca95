# find_package(textpoke) gives the target textpoke::textpoke. It brings the object file along that registers the tables
# of what it is linked into, so link it into each executable and shared object that has sites.
get_filename_component(_textpoke_lib "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
find_path(textpoke_INCLUDE_DIR textpoke/runtime.h HINTS "${_textpoke_lib}/../include" "${_textpoke_lib}/../../include")
find_library(textpoke_LIBRARY textpoke HINTS "${_textpoke_lib}" NO_DEFAULT_PATH)
set(textpoke_OBJECT "${_textpoke_lib}/textpoke/object.o")

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(textpoke REQUIRED_VARS textpoke_LIBRARY textpoke_INCLUDE_DIR textpoke_OBJECT)

if(textpoke_FOUND AND NOT TARGET textpoke::textpoke)
  find_package(Threads REQUIRED)
  add_library(textpoke::textpoke INTERFACE IMPORTED)
  set_target_properties(textpoke::textpoke PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${textpoke_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES "${textpoke_OBJECT};${textpoke_LIBRARY};Threads::Threads")
endif()
