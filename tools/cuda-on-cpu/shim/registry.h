// Kernels by source and name. `build.mjs` writes one EMULATED_KERNEL a kernel behind each source.
#pragma once
#include <functional>
#include <utility>

#include "device.h"

namespace emulator {

// Grid, block, bytes of shared memory, and a pointer to each argument.
using Entry = void (*)(dim3, dim3, size_t, void**);

void run(dim3 grid, dim3 block, size_t shared, const std::function<void()>& thread);

struct Registration {
  // `source` is the hash of the text that was compiled.
  Registration(uint64_t source, const char* kernel, Entry entry);
};

Entry find(uint64_t source, const char* kernel);
bool known(uint64_t source);

template <class... A, size_t... I> void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
  kernel(*static_cast<A*>(arguments[I])...);
}

template <auto K> struct Launcher;
template <class... A, void (*K)(A...)> struct Launcher<K> {
  static void launch(dim3 grid, dim3 block, size_t shared, void** arguments) {
    run(grid, block, shared, [=] { call<A...>(K, arguments, std::index_sequence_for<A...>{}); });
  }
};

}  // namespace emulator

#define EMULATED_KERNEL(source, kernel) \
  static emulator::Registration registered_##kernel(source, #kernel, &emulator::Launcher<&kernel>::launch);
