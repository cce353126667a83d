# The CUDA compiler and runtime. Device sources are C++17 and include no host library.
enable_language(CUDA)
find_package(CUDAToolkit 13.0 REQUIRED)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_ARCHITECTURES OFF)
# -Wextra would complain about the stubs that nvcc writes.
string(APPEND CMAKE_CUDA_FLAGS " -Werror all-warnings -Xcompiler=-Wall,-Werror")
foreach(architecture ${MUSAIC_CUDA_ARCHITECTURES})
  string(APPEND CMAKE_CUDA_FLAGS " -gencode=arch=compute_${architecture},code=sm_${architecture}")
endforeach()
if(CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()
