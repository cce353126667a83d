#pragma once

#include <cstdint>

#include "backends/cuda/vendor/tensor_map.h"

// What compute capability 9.0 has of its own: copies of tensor tiles, barriers that count them, products by
// four warps at once. A kernel that uses it has its body inside `#if defined(__CUDA_ARCH_FEAT_SM90_ALL)`, so
// that it compiles for every architecture.
namespace musaic {

inline constexpr int kWarpgroupSize = 128;

// A launch in clusters of `blocks` neighbouring blocks, of up to sixteen.
struct ClusterLaunch {
  unsigned blocks;
  unsigned threads;  // of a block
  size_t shared_bytes;
  gpuStream_t stream;

  // How many clusters the device runs at once.
  template <class... Parameters>
  int max_active(void (*kernel)(Parameters...)) const {
    Configuration configuration(*this, 1);
    configuration.allow(kernel);
    configuration.launch.numAttrs = 1;
    int count = 0;
    const bool is_known =
        cudaOccupancyMaxActiveClusters(&count, kernel, &configuration.launch) == cudaSuccess && count > 0;
    return is_known ? count : 1;
  }
  // Whether the device takes such a launch at all.
  template <class... Parameters>
  bool can_run(void (*kernel)(Parameters...)) const {
    Configuration configuration(*this, 1);
    configuration.allow(kernel);
    configuration.launch.numAttrs = 1;
    int count = 0;
    const bool is_known =
        cudaOccupancyMaxActiveClusters(&count, kernel, &configuration.launch) == cudaSuccess;
    if (!is_known) cudaGetLastError();
    return is_known && count > 0;
  }
  // As launch_kernel_with_shared.
  template <class... Parameters, class... Arguments>
  void run(void (*kernel)(Parameters...), unsigned clusters, const Arguments&... arguments) const {
    run(kernel, dim3(clusters * blocks), arguments...);
  }
  // REQUIRES: grid.x is a multiple of `blocks`.
  template <class... Parameters, class... Arguments>
  void run(void (*kernel)(Parameters...), dim3 grid, const Arguments&... arguments) const {
    Configuration configuration(*this, 1);
    configuration.launch.gridDim = grid;
    configuration.allow(kernel);
    if (grid.x == 0 || grid.y == 0) return;
    cudaLaunchKernelEx(&configuration.launch, kernel, static_cast<Parameters>(arguments)...);
  }

 private:
  struct Configuration {
    cudaLaunchAttribute attributes[2] = {};
    cudaLaunchConfig_t launch = {};

    Configuration(const ClusterLaunch& call, unsigned clusters) {
      attributes[0].id = cudaLaunchAttributeClusterDimension;
      attributes[0].val.clusterDim = {call.blocks, 1, 1};
      attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
      attributes[1].val.programmaticStreamSerializationAllowed = 1;
      launch.gridDim = dim3(clusters * call.blocks);
      launch.blockDim = dim3(call.threads);
      launch.dynamicSmemBytes = call.shared_bytes;
      launch.stream = call.stream;
      launch.attrs = attributes;
      launch.numAttrs = 2;
    }
    Configuration(const Configuration&) = delete;
    template <class Kernel>
    void allow(Kernel kernel) const {
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           static_cast<int>(launch.dynamicSmemBytes));
      constexpr unsigned kAlwaysAllowed = 8;  // blocks of a cluster
      if (attributes[0].val.clusterDim.x > kAlwaysAllowed)
        cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
    }
  };
};

__device__ inline uint32_t shared_address(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

// A barrier in shared memory. A phase ends when all arrivals that it was made for and all bytes that they
// announced are there; phases alternate in parity, the first is 0.
struct Barrier {
  uint64_t state;

  __device__ void init(uint32_t arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(this)), "r"(arrivals)
                 : "memory");
  }
  __device__ void arrive() {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(this)) : "memory");
  }
  // At the barrier that lies here in another block of the cluster.
  __device__ void arrive_at(uint32_t block) {
    asm volatile(
        "{.reg .b32 there;\n"
        "mapa.shared::cluster.u32 there, %0, %1;\n"
        "mbarrier.arrive.shared::cluster.b64 _, [there];}" ::"r"(shared_address(this)),
        "r"(block)
        : "memory");
  }
  __device__ void arrive_and_expect(uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(this)),
                 "r"(bytes)
                 : "memory");
  }
  // Until the phase of this parity has ended.
  __device__ void wait(uint32_t parity) const {
    uint32_t is_done;
    do {
      asm volatile(
          "{.reg .pred done;\n"
          "mbarrier.try_wait.parity.shared::cta.b64 done, [%1], %2;\n"
          "selp.u32 %0, 1, 0, done;}"
          : "=r"(is_done)
          : "r"(shared_address(this)), "r"(parity)
          : "memory");
    } while (is_done == 0);
  }
};

// 2 to the power of x, within 2 units of the last place; 0 instead of what is not normal.
__device__ inline float exp2_near(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// After the barriers' init, before the block's threads meet.
__device__ inline void publish_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

// The calling block's number in its cluster.
__device__ inline uint32_t block_of_cluster() {
  uint32_t block;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(block));
  return block;
}
// The calling thread is here; it may go on until wait_for_cluster.
__device__ inline void arrive_at_cluster() {
  asm volatile("barrier.cluster.arrive.release;" ::: "memory");
}
// Until every thread of the cluster that has not ended is here.
__device__ inline void wait_for_cluster() {
  asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
}
__device__ inline void meet_cluster() {
  arrive_at_cluster();
  wait_for_cluster();
}
// As arrive_at_cluster, but others see of what the thread wrote before no more than published barriers.
__device__ inline void announce_to_cluster() {
  asm volatile("barrier.cluster.arrive.relaxed;" ::: "memory");
}
// Where what has this address in the calling block's shared memory lies in another block of the cluster.
__device__ inline uint32_t address_in_block(uint32_t address, uint32_t block) {
  uint32_t there;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(block));
  return there;
}
// Stores a value where `to` lies, in a block of the cluster. REQUIRES: it has begun and does not end before.
__device__ inline void store_in_block(float* to, uint32_t block, float value) {
  asm volatile("st.shared::cluster.f32 [%0], %1;" ::"r"(address_in_block(shared_address(to), block)),
               "f"(value)
               : "memory");
}
// Stores 16 bytes there while the thread goes on; the barrier, at an address in the same block, counts them.
__device__ inline void store_in_block(uint32_t to, const float4& value, uint32_t barrier) {
  asm volatile(
      "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, [%5];" ::"r"(
          to),
      "f"(value.x), "f"(value.y), "f"(value.z), "f"(value.w), "r"(barrier)
      : "memory");
}
// The same of 4 bytes.
__device__ inline void store_in_block(uint32_t to, float value, uint32_t barrier) {
  asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.f32 [%0], %1, [%2];" ::"r"(to),
               "f"(value), "r"(barrier)
               : "memory");
}
// Until kThreads threads of the block are here; numbers are 1 to 15.
template <int kThreads>
__device__ void meet(int number) {
  asm volatile("bar.sync %0, %1;" ::"r"(number), "n"(kThreads) : "memory");
}

// The same for threads that do not wait for the others.
template <int kThreads>
__device__ void announce(int number) {
  asm volatile("bar.arrive %0, %1;" ::"r"(number), "n"(kThreads) : "memory");
}

// Makes what was written to shared memory before, by the thread or by others that it has waited for, visible
// to the products that it starts.
__device__ inline void publish_to_matrix_units() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// Copies of the calling thread into shared memory; zeros where `is_there` is false. REQUIRES: addresses are
// multiples of the size.
__device__ inline void copy_16_bytes(uint32_t to, const void* from, bool is_there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(is_there ? 16 : 0)
               : "memory");
}
__device__ inline void copy_4_bytes(uint32_t to, const void* from, bool is_there) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(is_there ? 4 : 0)
               : "memory");
}
// Until all such copies of the thread are there.
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_all;" ::: "memory");
}
// The barrier counts the thread's arrival when all its copies so far are there.
__device__ inline void arrive_after_copies(Barrier& barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(shared_address(&barrier))
               : "memory");
}

// The tile at these coordinates, innermost first, into shared memory (128-byte aligned, 1024 with swizzle);
// `barrier` counts its bytes. Called by one thread. What lies outside the tensor is 0.
__device__ inline void copy_tile(uint32_t to, const TensorMap& map, int32_t x, int32_t y, int32_t z,
                                 Barrier& barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], "
      "[%5];" ::"r"(to),
      "l"(&map), "r"(x), "r"(y), "r"(z), "r"(shared_address(&barrier))
      : "memory");
}
// The same into every block of the cluster whose bit is in `blocks`, at the same place; each one's barrier
// counts the bytes. REQUIRES: these blocks have met after their barriers' init, and none ends before.
__device__ inline void copy_tile_to_blocks(uint32_t to, const TensorMap& map, int32_t x, int32_t y, int32_t z,
                                           Barrier& barrier, uint16_t blocks) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], "
      "[%1, {%2, %3, %4}], [%5], %6;" ::"r"(to),
      "l"(&map), "r"(x), "r"(y), "r"(z), "r"(shared_address(&barrier)), "h"(blocks)
      : "memory");
}
// copy_tile of what nobody will read again: it gives way in the L2 cache.
__device__ inline void copy_tile_once(uint32_t to, const TensorMap& map, int32_t x, int32_t y, int32_t z,
                                      Barrier& barrier) {
  asm volatile(
      "{.reg .b64 policy;\n"
      "createpolicy.fractional.L2::evict_first.b64 policy, 1.0;\n"
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, "
      "{%2, %3, %4}], [%5], policy;}" ::"r"(to),
      "l"(&map), "r"(x), "r"(y), "r"(z), "r"(shared_address(&barrier))
      : "memory");
}
// `bytes` that follow one another into shared memory; `barrier` counts them. Called by one thread. REQUIRES:
// addresses and `bytes` are multiples of 16.
__device__ inline void copy_bytes(uint32_t to, const void* from, uint32_t bytes, Barrier& barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(to),
      "l"(from), "r"(bytes), "r"(shared_address(&barrier))
      : "memory");
}
// copy_bytes of what nobody will read again.
__device__ inline void copy_bytes_once(uint32_t to, const void* from, uint32_t bytes, Barrier& barrier) {
  asm volatile(
      "{.reg .b64 policy;\n"
      "createpolicy.fractional.L2::evict_first.b64 policy, 1.0;\n"
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, "
      "[%3], policy;}" ::"r"(to),
      "l"(from), "r"(bytes), "r"(shared_address(&barrier))
      : "memory");
}
// Starts to bring bytes to the L2 cache. REQUIRES: multiples of 16.
__device__ inline void prefetch_bytes(const uint8_t* from, uint32_t bytes) {
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(bytes) : "memory");
}
__device__ inline void prefetch_map(const TensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

// Registers a thread of the warpgroup from here on. REQUIRES: a multiple of 8; __launch_bounds__(threads, 1).
template <int kRegisters>
__device__ inline void shrink_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ inline void grow_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// Two values of FP8 (e4m3), the first in the low byte; rounded to nearest even, held within ±448.
__device__ inline uint16_t f8e4m3_pair(float first, float second) {
  return __nv_cvt_float2_to_fp8x2(make_float2(first, second), __NV_SATFINITE, __NV_E4M3);
}

// Rows of 128 bytes in shared memory whose 16-byte pieces are permuted: piece p of row r lies at p XOR r % 8.
inline constexpr int kSwizzledRow = 128;
__device__ inline uint32_t swizzled_offset(int row, int piece) {
  return static_cast<uint32_t>(row * kSwizzledRow + ((piece ^ (row & 7)) << 4));
}

// How a product finds swizzled rows. REQUIRES: a multiple of 1024; `+ 2` moves 32 bytes along the rows.
__device__ inline uint64_t swizzled_rows(uint32_t address) {
  constexpr uint64_t kEightRows = 8 * kSwizzledRow >> 4, kSwizzle128 = 1;
  return uint64_t{(address & 0x3FFFFu) >> 4} | uint64_t{1} << 16 | kEightRows << 32 | kSwizzle128 << 62;
}

// The compiler has these values ready here, in the registers in which products find them.
template <int N>
__device__ void keep_in_place(float (&values)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) asm volatile("" : "+f"(values[i])::"memory");
}
template <int N>
__device__ void keep_in_place(uint32_t (&words)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) asm volatile("" : "+r"(words[i])::"memory");
}

__device__ inline void begin_products() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
// The thread's products since begin_products are a batch.
__device__ inline void end_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// Until all batches but the last kUnderWay are done.
template <int kUnderWay>
__device__ void wait_for_product_batches() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kUnderWay) : "memory");
}
// The same. `sum` is of one that is.
template <int kUnderWay, int N>
__device__ void wait_for_products(float (&sum)[N]) {
  wait_for_product_batches<kUnderWay>();
  keep_in_place(sum);
}

// sum = left · rightᵀ, plus `sum` with `keep`, by a warpgroup: 64 rows and kColumns rows, of 32 bytes each.
// Value 4j + i of lane l of warp w is of row 16w + l / 4 + 8(i / 2), column 8j + 2(l % 4) + i % 2.
template <int kColumns>
struct Fp8Product;
template <>
struct Fp8Product<32> {
  static __device__ void add(float (&s)[16], uint64_t left, uint64_t right, bool keep) {
    asm volatile(
        "{.reg .pred keep;\n"
        "setp.ne.b32 keep, %18, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n32k32.f32.e4m3.e4m3 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, "
        "%16, %17, keep, 1, 1;}"
        : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]), "+f"(s[7]),
          "+f"(s[8]), "+f"(s[9]), "+f"(s[10]), "+f"(s[11]), "+f"(s[12]), "+f"(s[13]), "+f"(s[14]), "+f"(s[15])
        : "l"(left), "l"(right), "r"(static_cast<int>(keep)));
  }
};
template <>
struct Fp8Product<64> {
  static __device__ void add(float (&s)[32], uint64_t left, uint64_t right, bool keep) {
    asm volatile(
        "{.reg .pred keep;\n"
        "setp.ne.b32 keep, %34, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k32.f32.e4m3.e4m3 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, "
        "%20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
        "%32, %33, keep, 1, 1;}"
        : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]), "+f"(s[7]),
          "+f"(s[8]), "+f"(s[9]), "+f"(s[10]), "+f"(s[11]), "+f"(s[12]), "+f"(s[13]), "+f"(s[14]),
          "+f"(s[15]), "+f"(s[16]), "+f"(s[17]), "+f"(s[18]), "+f"(s[19]), "+f"(s[20]), "+f"(s[21]),
          "+f"(s[22]), "+f"(s[23]), "+f"(s[24]), "+f"(s[25]), "+f"(s[26]), "+f"(s[27]), "+f"(s[28]),
          "+f"(s[29]), "+f"(s[30]), "+f"(s[31])
        : "l"(left), "l"(right), "r"(static_cast<int>(keep)));
  }
};
template <>
struct Fp8Product<128> {
  static __device__ void add(float (&s)[64], uint64_t left, uint64_t right, bool keep) {
    asm volatile(
        "{.reg .pred keep;\n"
        "setp.ne.b32 keep, %66, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, "
        "%20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, "
        "%38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, "
        "%56, %57, %58, %59, %60, %61, %62, %63}, "
        "%64, %65, keep, 1, 1;}"
        : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]), "+f"(s[7]),
          "+f"(s[8]), "+f"(s[9]), "+f"(s[10]), "+f"(s[11]), "+f"(s[12]), "+f"(s[13]), "+f"(s[14]),
          "+f"(s[15]), "+f"(s[16]), "+f"(s[17]), "+f"(s[18]), "+f"(s[19]), "+f"(s[20]), "+f"(s[21]),
          "+f"(s[22]), "+f"(s[23]), "+f"(s[24]), "+f"(s[25]), "+f"(s[26]), "+f"(s[27]), "+f"(s[28]),
          "+f"(s[29]), "+f"(s[30]), "+f"(s[31]), "+f"(s[32]), "+f"(s[33]), "+f"(s[34]), "+f"(s[35]),
          "+f"(s[36]), "+f"(s[37]), "+f"(s[38]), "+f"(s[39]), "+f"(s[40]), "+f"(s[41]), "+f"(s[42]),
          "+f"(s[43]), "+f"(s[44]), "+f"(s[45]), "+f"(s[46]), "+f"(s[47]), "+f"(s[48]), "+f"(s[49]),
          "+f"(s[50]), "+f"(s[51]), "+f"(s[52]), "+f"(s[53]), "+f"(s[54]), "+f"(s[55]), "+f"(s[56]),
          "+f"(s[57]), "+f"(s[58]), "+f"(s[59]), "+f"(s[60]), "+f"(s[61]), "+f"(s[62]), "+f"(s[63])
        : "l"(left), "l"(right), "r"(static_cast<int>(keep)));
  }
};
template <>
struct Fp8Product<192> {
  static __device__ void add(float (&s)[96], uint64_t left, uint64_t right, bool keep) {
    asm volatile(
        "{.reg .pred keep;\n"
        "setp.ne.b32 keep, %98, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n192k32.f32.e4m3.e4m3 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, "
        "%20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, "
        "%38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, "
        "%56, %57, %58, %59, %60, %61, %62, %63, %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, "
        "%74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, "
        "%92, %93, %94, %95}, "
        "%96, %97, keep, 1, 1;}"
        : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]), "+f"(s[7]),
          "+f"(s[8]), "+f"(s[9]), "+f"(s[10]), "+f"(s[11]), "+f"(s[12]), "+f"(s[13]), "+f"(s[14]),
          "+f"(s[15]), "+f"(s[16]), "+f"(s[17]), "+f"(s[18]), "+f"(s[19]), "+f"(s[20]), "+f"(s[21]),
          "+f"(s[22]), "+f"(s[23]), "+f"(s[24]), "+f"(s[25]), "+f"(s[26]), "+f"(s[27]), "+f"(s[28]),
          "+f"(s[29]), "+f"(s[30]), "+f"(s[31]), "+f"(s[32]), "+f"(s[33]), "+f"(s[34]), "+f"(s[35]),
          "+f"(s[36]), "+f"(s[37]), "+f"(s[38]), "+f"(s[39]), "+f"(s[40]), "+f"(s[41]), "+f"(s[42]),
          "+f"(s[43]), "+f"(s[44]), "+f"(s[45]), "+f"(s[46]), "+f"(s[47]), "+f"(s[48]), "+f"(s[49]),
          "+f"(s[50]), "+f"(s[51]), "+f"(s[52]), "+f"(s[53]), "+f"(s[54]), "+f"(s[55]), "+f"(s[56]),
          "+f"(s[57]), "+f"(s[58]), "+f"(s[59]), "+f"(s[60]), "+f"(s[61]), "+f"(s[62]), "+f"(s[63]),
          "+f"(s[64]), "+f"(s[65]), "+f"(s[66]), "+f"(s[67]), "+f"(s[68]), "+f"(s[69]), "+f"(s[70]),
          "+f"(s[71]), "+f"(s[72]), "+f"(s[73]), "+f"(s[74]), "+f"(s[75]), "+f"(s[76]), "+f"(s[77]),
          "+f"(s[78]), "+f"(s[79]), "+f"(s[80]), "+f"(s[81]), "+f"(s[82]), "+f"(s[83]), "+f"(s[84]),
          "+f"(s[85]), "+f"(s[86]), "+f"(s[87]), "+f"(s[88]), "+f"(s[89]), "+f"(s[90]), "+f"(s[91]),
          "+f"(s[92]), "+f"(s[93]), "+f"(s[94]), "+f"(s[95])
        : "l"(left), "l"(right), "r"(static_cast<int>(keep)));
  }
};

// sum += left · rightᵀ of 16 bf16 values: the left factor in registers, two values a word, of the right one
// 32 bytes a row. Word 0 of lane l of warp w has the values 2(l % 4) and the next of row 16w + l / 4, word 1
// those of 8 rows on, words 2 and 3 the same rows' 8 values on. REQUIRES: no word changes until the product
// is done. Of 64 columns: without `keep` it replaces `sum`; kTransposed: the right factor lies the other way
// round, 16 swizzled rows of 64 columns.
template <int kColumns, bool kTransposed = false>
struct Bf16RegisterProduct;
template <>
struct Bf16RegisterProduct<32> {
  static __device__ void add(float (&s)[16], const uint32_t (&left)[4], uint64_t right) {
    asm volatile(
        "{.reg .pred keep;\n"
        "setp.eq.u32 keep, 0, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, "
        "{%16, %17, %18, %19}, %20, keep, 1, 1, 0;}"
        : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]), "+f"(s[7]),
          "+f"(s[8]), "+f"(s[9]), "+f"(s[10]), "+f"(s[11]), "+f"(s[12]), "+f"(s[13]), "+f"(s[14]), "+f"(s[15])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "l"(right));
  }
};
template <bool kTransposed>
struct Bf16RegisterProduct<64, kTransposed> {
  static __device__ void add(float (&s)[32], const uint32_t (&left)[4], uint64_t right, bool keep = true) {
    asm volatile(
        "{.reg .pred keep;\n"
        "setp.ne.b32 keep, %37, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
        "{%32, %33, %34, %35}, %36, keep, 1, 1, %38;}"
        : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]), "+f"(s[7]),
          "+f"(s[8]), "+f"(s[9]), "+f"(s[10]), "+f"(s[11]), "+f"(s[12]), "+f"(s[13]), "+f"(s[14]),
          "+f"(s[15]), "+f"(s[16]), "+f"(s[17]), "+f"(s[18]), "+f"(s[19]), "+f"(s[20]), "+f"(s[21]),
          "+f"(s[22]), "+f"(s[23]), "+f"(s[24]), "+f"(s[25]), "+f"(s[26]), "+f"(s[27]), "+f"(s[28]),
          "+f"(s[29]), "+f"(s[30]), "+f"(s[31])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "l"(right), "r"(static_cast<int>(keep)),
          "n"(static_cast<int>(kTransposed)));
  }
};
template <>
struct Bf16RegisterProduct<96> {
  static __device__ void add(float (&s)[48], const uint32_t (&left)[4], uint64_t right) {
    asm volatile(
        "{.reg .pred keep;\n"
        "setp.eq.u32 keep, 0, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n96k16.f32.bf16.bf16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47}, "
        "{%48, %49, %50, %51}, %52, keep, 1, 1, 0;}"
        : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]), "+f"(s[7]),
          "+f"(s[8]), "+f"(s[9]), "+f"(s[10]), "+f"(s[11]), "+f"(s[12]), "+f"(s[13]), "+f"(s[14]),
          "+f"(s[15]), "+f"(s[16]), "+f"(s[17]), "+f"(s[18]), "+f"(s[19]), "+f"(s[20]), "+f"(s[21]),
          "+f"(s[22]), "+f"(s[23]), "+f"(s[24]), "+f"(s[25]), "+f"(s[26]), "+f"(s[27]), "+f"(s[28]),
          "+f"(s[29]), "+f"(s[30]), "+f"(s[31]), "+f"(s[32]), "+f"(s[33]), "+f"(s[34]), "+f"(s[35]),
          "+f"(s[36]), "+f"(s[37]), "+f"(s[38]), "+f"(s[39]), "+f"(s[40]), "+f"(s[41]), "+f"(s[42]),
          "+f"(s[43]), "+f"(s[44]), "+f"(s[45]), "+f"(s[46]), "+f"(s[47])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "l"(right));
  }
};
template <>
struct Bf16RegisterProduct<128> {
  static __device__ void add(float (&s)[64], const uint32_t (&left)[4], uint64_t right) {
    asm volatile(
        "{.reg .pred keep;\n"
        "setp.eq.u32 keep, 0, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
        "{%64, %65, %66, %67}, %68, keep, 1, 1, 0;}"
        : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]), "+f"(s[7]),
          "+f"(s[8]), "+f"(s[9]), "+f"(s[10]), "+f"(s[11]), "+f"(s[12]), "+f"(s[13]), "+f"(s[14]),
          "+f"(s[15]), "+f"(s[16]), "+f"(s[17]), "+f"(s[18]), "+f"(s[19]), "+f"(s[20]), "+f"(s[21]),
          "+f"(s[22]), "+f"(s[23]), "+f"(s[24]), "+f"(s[25]), "+f"(s[26]), "+f"(s[27]), "+f"(s[28]),
          "+f"(s[29]), "+f"(s[30]), "+f"(s[31]), "+f"(s[32]), "+f"(s[33]), "+f"(s[34]), "+f"(s[35]),
          "+f"(s[36]), "+f"(s[37]), "+f"(s[38]), "+f"(s[39]), "+f"(s[40]), "+f"(s[41]), "+f"(s[42]),
          "+f"(s[43]), "+f"(s[44]), "+f"(s[45]), "+f"(s[46]), "+f"(s[47]), "+f"(s[48]), "+f"(s[49]),
          "+f"(s[50]), "+f"(s[51]), "+f"(s[52]), "+f"(s[53]), "+f"(s[54]), "+f"(s[55]), "+f"(s[56]),
          "+f"(s[57]), "+f"(s[58]), "+f"(s[59]), "+f"(s[60]), "+f"(s[61]), "+f"(s[62]), "+f"(s[63])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "l"(right));
  }
};

// The same with both factors in shared memory, 32 bytes a row. Value 4j + i of lane l of warp w is of row
// 16w + l / 4 + 8(i / 2), column 8j + 2(l % 4) + i % 2.
template <int kColumns>
struct Bf16SharedProduct;
template <>
struct Bf16SharedProduct<8> {
  static __device__ void add(float (&s)[4], uint64_t left, uint64_t right) {
    asm volatile(
        "{.reg .pred keep;\n"
        "setp.eq.u32 keep, 0, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {"
        "%0, %1, %2, %3}, "
        "%4, %5, keep, 1, 1, 0, 0;}"
        : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])
        : "l"(left), "l"(right));
  }
};
template <>
struct Bf16SharedProduct<16> {
  static __device__ void add(float (&s)[8], uint64_t left, uint64_t right) {
    asm volatile(
        "{.reg .pred keep;\n"
        "setp.eq.u32 keep, 0, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7}, "
        "%8, %9, keep, 1, 1, 0, 0;}"
        : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]), "+f"(s[7])
        : "l"(left), "l"(right));
  }
};
template <>
struct Bf16SharedProduct<32> {
  static __device__ void add(float (&s)[16], uint64_t left, uint64_t right) {
    asm volatile(
        "{.reg .pred keep;\n"
        "setp.eq.u32 keep, 0, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, "
        "%16, %17, keep, 1, 1, 0, 0;}"
        : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]), "+f"(s[7]),
          "+f"(s[8]), "+f"(s[9]), "+f"(s[10]), "+f"(s[11]), "+f"(s[12]), "+f"(s[13]), "+f"(s[14]), "+f"(s[15])
        : "l"(left), "l"(right));
  }
};
template <>
struct Bf16SharedProduct<128> {
  static __device__ void add(float (&s)[64], uint64_t left, uint64_t right) {
    asm volatile(
        "{.reg .pred keep;\n"
        "setp.eq.u32 keep, 0, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
        "%64, %65, keep, 1, 1, 0, 0;}"
        : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]), "+f"(s[7]),
          "+f"(s[8]), "+f"(s[9]), "+f"(s[10]), "+f"(s[11]), "+f"(s[12]), "+f"(s[13]), "+f"(s[14]), "+f"(s[15]),
          "+f"(s[16]), "+f"(s[17]), "+f"(s[18]), "+f"(s[19]), "+f"(s[20]), "+f"(s[21]), "+f"(s[22]), "+f"(s[23]),
          "+f"(s[24]), "+f"(s[25]), "+f"(s[26]), "+f"(s[27]), "+f"(s[28]), "+f"(s[29]), "+f"(s[30]), "+f"(s[31]),
          "+f"(s[32]), "+f"(s[33]), "+f"(s[34]), "+f"(s[35]), "+f"(s[36]), "+f"(s[37]), "+f"(s[38]), "+f"(s[39]),
          "+f"(s[40]), "+f"(s[41]), "+f"(s[42]), "+f"(s[43]), "+f"(s[44]), "+f"(s[45]), "+f"(s[46]), "+f"(s[47]),
          "+f"(s[48]), "+f"(s[49]), "+f"(s[50]), "+f"(s[51]), "+f"(s[52]), "+f"(s[53]), "+f"(s[54]), "+f"(s[55]),
          "+f"(s[56]), "+f"(s[57]), "+f"(s[58]), "+f"(s[59]), "+f"(s[60]), "+f"(s[61]), "+f"(s[62]), "+f"(s[63])
        : "l"(left), "l"(right));
  }
};

}  // namespace musaic
