# find_package(ipmb) gives the targets ipmb::ipmb (shared) and ipmb::static. Paths are relative to this file, so that the
# installation can be moved.
get_filename_component(_ipmb_lib "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
get_filename_component(_ipmb_include "${CMAKE_CURRENT_LIST_DIR}/@UP@/include" ABSOLUTE)

if(NOT TARGET ipmb::ipmb)
    add_library(ipmb::ipmb SHARED IMPORTED)
    set_target_properties(ipmb::ipmb PROPERTIES
        IMPORTED_LOCATION "${_ipmb_lib}/libipmb.so.@VERSION@"
        IMPORTED_SONAME "libipmb.so.@INTERFACE@"
        INTERFACE_INCLUDE_DIRECTORIES "${_ipmb_include}")

    find_package(Threads REQUIRED)
    add_library(ipmb::static STATIC IMPORTED)
    set_target_properties(ipmb::static PROPERTIES
        IMPORTED_LOCATION "${_ipmb_lib}/libipmb.a"
        INTERFACE_INCLUDE_DIRECTORIES "${_ipmb_include}"
        INTERFACE_LINK_LIBRARIES "util;rt;m;Threads::Threads;${CMAKE_DL_LIBS}")
endif()

unset(_ipmb_lib)
unset(_ipmb_include)
