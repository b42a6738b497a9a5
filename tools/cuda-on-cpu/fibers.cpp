// Runs the threads of a block in turns on one OS thread; x86-64 with the calling convention of Linux.
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "shim/registry.h"

namespace emulator {

Fiber* current;
uint3 block;
dim3 block_size, grid_size;
char* dynamic_shared;
unsigned char exchanged[32][32][16];

static constexpr size_t STACK = 256 << 10;
static void* scheduler;
static const std::function<void()>* body;
static std::vector<Fiber> fibers;
static std::vector<char*> stacks;

// Saves the callee-saved registers and the stack pointer, and goes on at another stack.
extern "C" void emulator_switch(void** save, void* to);
asm(R"(.text
.globl emulator_switch
.hidden emulator_switch
emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");

[[noreturn]] static void fail(const char* what, unsigned number) {
  fprintf(stderr, "cuda-on-cpu: %s (%u) in block %u,%u,%u\n", what, number, block.x, block.y, block.z);
  abort();
}

void wait_at(State barrier) {
  Fiber* own = current;
  own->state = barrier;
  emulator_switch(&own->stack, scheduler);
}

static void enter() {
  (*body)();
  current->state = State::done;
  emulator_switch(&current->stack, scheduler);
  abort();
}

static void prepare(unsigned number) {
  void** top = reinterpret_cast<void**>(stacks[number] + STACK);
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(enter);
  for (int i = 0; i < 6; i++) *--top = nullptr;
  unsigned x = number % block_size.x, y = number / block_size.x % block_size.y, z = number / (block_size.x * block_size.y);
  fibers[number] = {top, {x, y, z}, State::ready, number};
}

// Runs a warp until none of its threads can go on; whether one did.
static bool run_warp(unsigned first, unsigned end) {
  bool ran = false;
  for (;;) {
    bool moved = false, at_warp = false, at_block = false;
    for (unsigned i = first; i < end; i++) {
      if (fibers[i].state != State::ready) continue;
      current = &fibers[i];
      emulator_switch(&scheduler, fibers[i].stack);
      moved = ran = true;
    }
    for (unsigned i = first; i < end; i++) {
      at_warp |= fibers[i].state == State::at_warp_barrier;
      at_block |= fibers[i].state == State::at_block_barrier;
    }
    if (at_warp && at_block) fail("threads of a warp wait at different barriers", first / 32);
    if (!at_warp) {
      if (!moved) return ran;
      continue;
    }
    for (unsigned i = first; i < end; i++)
      if (fibers[i].state == State::at_warp_barrier) fibers[i].state = State::ready;
  }
}

static void run_block(unsigned threads) {
  for (unsigned i = 0; i < threads; i++) prepare(i);
  for (;;) {
    bool ran = false;
    for (unsigned first = 0; first < threads; first += 32) ran |= run_warp(first, std::min(first + 32, threads));
    unsigned live = 0, waiting = 0;
    for (unsigned i = 0; i < threads; i++) {
      live += fibers[i].state != State::done;
      waiting += fibers[i].state == State::at_block_barrier;
    }
    if (live == 0) return;
    if (waiting == live) {
      for (unsigned i = 0; i < threads; i++)
        if (fibers[i].state == State::at_block_barrier) fibers[i].state = State::ready;
    } else if (!ran) {
      fail("no thread can go on", live);
    }
  }
}

void run(dim3 grid, dim3 size, size_t shared, const std::function<void()>& thread) {
  unsigned threads = size.x * size.y * size.z;
  body = &thread;
  grid_size = grid;
  block_size = size;
  fibers.resize(threads);
  while (stacks.size() < threads) {
    void* memory = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("no memory for the stack of thread", threads);
    stacks.push_back(static_cast<char*>(memory));
  }
  std::vector<char> memory(shared + 128);
  dynamic_shared = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(memory.data()) + 127) & ~uintptr_t{127});
  for (block.z = 0; block.z < grid.z; ++block.z)
    for (block.y = 0; block.y < grid.y; ++block.y)
      for (block.x = 0; block.x < grid.x; ++block.x) run_block(threads);
}

static std::map<std::pair<uint64_t, std::string>, Entry>& table() {
  static std::map<std::pair<uint64_t, std::string>, Entry> kernels;
  return kernels;
}

Registration::Registration(uint64_t source, const char* kernel, Entry entry) { table()[{source, kernel}] = entry; }

Entry find(uint64_t source, const char* kernel) {
  auto found = table().find({source, kernel});
  return found == table().end() ? nullptr : found->second;
}

bool known(uint64_t source) {
  auto next = table().lower_bound({source, ""});
  return next != table().end() && next->first.first == source;
}

}  // namespace emulator
