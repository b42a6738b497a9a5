// A libcuda.so.1 whose one device is this CPU. Everything happens at once and in order; every handle is counted, and writes
// past the end of memory are found when it is freed. Tests ask for failures and read the counts in the file that
// CUDA_ON_CPU_CONTROL names (`Control`).
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "shim/registry.h"

using Answer = int;
using Address = unsigned long long;
using Handle = void*;
#define DRIVER extern "C" __attribute__((visibility("default"))) Answer

enum : Answer {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NO_DEVICE = 100,
  INVALID_DEVICE = 101,
  INVALID_PTX = 218,
  NOT_FOUND = 500,
  ILLEGAL_ADDRESS = 700,
  LAUNCH_FAILED = 719,
};

static const size_t TOTAL = size_t{1} << 33;
static const unsigned char GUARD = 0xA5;
static const size_t GUARDED = 64;

// Numbers of eight bytes each, in this order.
struct Control {
  // How many more allocations, launches and calls of any kind succeed; below 0: all. After the last of the calls the
  // device is lost.
  int64_t allocations = -1, launches = -1, calls = -1, lost = 0;
  // What is alive.
  int64_t memory = 0, bytes = 0, pinned = 0, streams = 0, events = 0, modules = 0, contexts = 0;
};

static Control* open_control() {
  static Control own;
  const char* path = getenv("CUDA_ON_CPU_CONTROL");
  int file = path && *path ? open(path, O_RDWR) : -1;
  if (file < 0) return &own;
  void* shared = mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  return shared == MAP_FAILED ? &own : static_cast<Control*>(shared);
}

static Control& control = *open_control();
static std::map<Address, size_t> memory;

static int setting(const char* name, int otherwise) {
  const char* value = getenv(name);
  return value && *value ? atoi(value) : otherwise;
}

// One call of a device that may be lost in mid-step: whether it answers.
static bool answers() {
  if (control.calls == 0) control.lost = 1;
  if (control.calls > 0) control.calls--;
  return !control.lost;
}
#define ALIVE \
  if (!answers()) return ILLEGAL_ADDRESS

DRIVER cuInit(unsigned) { return setting("CUDA_ON_CPU_DEVICES", 1) ? SUCCESS : NO_DEVICE; }
DRIVER cuDriverGetVersion(int* version) {
  *version = setting("CUDA_ON_CPU_DRIVER", 13000);
  return SUCCESS;
}
DRIVER cuDeviceGetCount(int* count) {
  *count = 1;
  return SUCCESS;
}
DRIVER cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return ordinal == 0 ? SUCCESS : INVALID_DEVICE;
}
DRIVER cuDeviceGetName(char* name, int length, int) {
  snprintf(name, length, "emulated on the CPU");
  return SUCCESS;
}
DRIVER cuDeviceTotalMem_v2(size_t* bytes, int) {
  *bytes = TOTAL;
  return SUCCESS;
}
DRIVER cuDeviceGetAttribute(int* value, int attribute, int) {
  int capability = setting("CUDA_ON_CPU_CAPABILITY", 90);
  switch (attribute) {
    case 75: *value = capability / 10; break;
    case 76: *value = capability % 10; break;
    case 97: *value = 227 << 10; break;
    case 115: *value = 1; break;
    default: *value = 0;
  }
  return SUCCESS;
}
DRIVER cuDevicePrimaryCtxRetain(Handle* context, int) {
  control.contexts++;
  *context = reinterpret_cast<Handle>(1);
  return SUCCESS;
}
DRIVER cuDevicePrimaryCtxRelease_v2(int) {
  control.contexts--;
  return SUCCESS;
}
DRIVER cuCtxSetCurrent(Handle) { return SUCCESS; }
DRIVER cuDeviceGetDefaultMemPool(Handle* pool, int) {
  *pool = reinterpret_cast<Handle>(2);
  return SUCCESS;
}
DRIVER cuMemPoolSetAttribute(Handle, int, void*) { return SUCCESS; }
DRIVER cuMemPoolTrimTo(Handle, size_t) { return SUCCESS; }
DRIVER cuMemGetInfo_v2(size_t* free, size_t* all) {
  *free = TOTAL - control.bytes;
  *all = TOTAL;
  return SUCCESS;
}

DRIVER cuMemAllocAsync(Address* address, size_t bytes, Handle) {
  ALIVE;
  if (control.allocations == 0 || control.bytes + bytes > TOTAL) return OUT_OF_MEMORY;
  if (control.allocations > 0) control.allocations--;
  auto* fresh = static_cast<unsigned char*>(aligned_alloc(256, (bytes + GUARDED + 255) / 256 * 256));
  if (!fresh) return OUT_OF_MEMORY;
  // NaN in every float, so that what a kernel leaves out shows.
  memset(fresh, 0xFF, bytes);
  memset(fresh + bytes, GUARD, GUARDED);
  *address = reinterpret_cast<Address>(fresh);
  memory[*address] = bytes;
  control.memory++;
  control.bytes += bytes;
  return SUCCESS;
}
DRIVER cuMemFreeAsync(Address address, Handle) {
  auto found = memory.find(address);
  if (found == memory.end()) return INVALID_VALUE;
  auto* bytes = reinterpret_cast<unsigned char*>(address);
  for (size_t i = 0; i < GUARDED; i++) {
    if (bytes[found->second + i] == GUARD) continue;
    fprintf(stderr, "cuda-on-cpu: a kernel wrote past the end of %zu bytes\n", found->second);
    abort();
  }
  control.memory--;
  control.bytes -= found->second;
  memory.erase(found);
  free(bytes);
  return control.lost ? ILLEGAL_ADDRESS : SUCCESS;
}
DRIVER cuMemHostAlloc(void** address, size_t bytes, unsigned) {
  ALIVE;
  *address = malloc(bytes);
  control.pinned++;
  return SUCCESS;
}
DRIVER cuMemFreeHost(void* address) {
  free(address);
  control.pinned--;
  return SUCCESS;
}
DRIVER cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t bytes, Handle) {
  ALIVE;
  memcpy(reinterpret_cast<void*>(to), from, bytes);
  return SUCCESS;
}
DRIVER cuMemcpyDtoHAsync_v2(void* to, Address from, size_t bytes, Handle) {
  ALIVE;
  memcpy(to, reinterpret_cast<void*>(from), bytes);
  return SUCCESS;
}
DRIVER cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, Handle) {
  ALIVE;
  memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes);
  return SUCCESS;
}
DRIVER cuMemsetD8Async(Address at, unsigned char value, size_t bytes, Handle) {
  ALIVE;
  memset(reinterpret_cast<void*>(at), value, bytes);
  return SUCCESS;
}

DRIVER cuStreamCreate(Handle* stream, unsigned) {
  control.streams++;
  *stream = reinterpret_cast<Handle>(3);
  return SUCCESS;
}
DRIVER cuStreamDestroy_v2(Handle) {
  control.streams--;
  return SUCCESS;
}
DRIVER cuStreamSynchronize(Handle) {
  ALIVE;
  return SUCCESS;
}
DRIVER cuEventCreate(Handle* event, unsigned) {
  ALIVE;
  control.events++;
  *event = reinterpret_cast<Handle>(4);
  return SUCCESS;
}
DRIVER cuEventRecord(Handle, Handle) {
  ALIVE;
  return SUCCESS;
}
DRIVER cuEventQuery(Handle) { return control.lost ? ILLEGAL_ADDRESS : SUCCESS; }
DRIVER cuEventSynchronize(Handle) { return control.lost ? ILLEGAL_ADDRESS : SUCCESS; }
DRIVER cuEventDestroy_v2(Handle) {
  control.events--;
  return SUCCESS;
}

// The image is what compiler.cpp made: the hash of a source.
DRIVER cuModuleLoadData(Handle* module, const void* image) {
  ALIVE;
  unsigned long long source = 0;
  if (sscanf(static_cast<const char*>(image), "emulated %llx", &source) != 1) return INVALID_PTX;
  if (!emulator::known(source)) return INVALID_PTX;
  control.modules++;
  *module = new uint64_t(source);
  return SUCCESS;
}
DRIVER cuModuleUnload(Handle module) {
  control.modules--;
  delete static_cast<uint64_t*>(module);
  return SUCCESS;
}
// In place of the kernel that CUDA_ON_CPU_BROKEN names: its outputs stay NaN.
static void broken(dim3, dim3, size_t, void**) {}
DRIVER cuModuleGetFunction(Handle* function, Handle module, const char* name) {
  const char* wrong = getenv("CUDA_ON_CPU_BROKEN");
  if (wrong && !strcmp(wrong, name)) {
    *function = reinterpret_cast<Handle>(&broken);
    return SUCCESS;
  }
  *function = reinterpret_cast<Handle>(emulator::find(*static_cast<uint64_t*>(module), name));
  return *function ? SUCCESS : NOT_FOUND;
}
DRIVER cuFuncSetAttribute(Handle, int, int) { return SUCCESS; }
DRIVER cuLaunchKernel(
    Handle function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
    Handle, void** arguments, void**) {
  ALIVE;
  if (control.launches == 0) return LAUNCH_FAILED;
  if (control.launches > 0) control.launches--;
  if (gx * gy * gz == 0 || gy > 65535 || gz > 65535 || bx * by * bz == 0 || bx * by * bz > 1024) return INVALID_VALUE;
  if (shared > 227 << 10) return INVALID_VALUE;
  reinterpret_cast<emulator::Entry>(function)(dim3(gx, gy, gz), dim3(bx, by, bz), shared, arguments);
  return SUCCESS;
}
