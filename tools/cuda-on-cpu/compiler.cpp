// An NVRTC that compiles nothing: its image names the source by a hash, and driver.cpp has the kernels of that source.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#define NVRTC extern "C" __attribute__((visibility("default"))) int

struct Program {
  std::string image, log;
  uint64_t source;
};

// FNV-1a, as in build.mjs.
static uint64_t hash(const char* text, uint64_t start) {
  for (; *text; text++) start = (start ^ static_cast<unsigned char>(*text)) * 0x100000001b3ull;
  return start;
}

NVRTC nvrtcVersion(int* major, int* minor) {
  *major = 0;
  *minor = 1;
  return 0;
}
NVRTC nvrtcGetNumSupportedArchs(int* count) {
  *count = 2;
  return 0;
}
NVRTC nvrtcGetSupportedArchs(int* archs) {
  archs[0] = 80;
  archs[1] = 90;
  return 0;
}
NVRTC nvrtcCreateProgram(
    Program** program, const char* text, const char*, int headers, const char* const* contents, const char* const*) {
  uint64_t source = hash(text, 0xcbf29ce484222325ull);
  for (int i = 0; i < headers; i++) source = hash(contents[i], source);
  *program = new Program{"", "", source};
  return 0;
}
NVRTC nvrtcDestroyProgram(Program** program) {
  delete *program;
  *program = nullptr;
  return 0;
}
NVRTC nvrtcCompileProgram(Program* program, int, const char* const*) {
  char image[64];
  snprintf(image, sizeof image, "emulated %016llx", static_cast<unsigned long long>(program->source));
  program->image = image;
  return 0;
}
NVRTC nvrtcGetCUBINSize(Program* program, size_t* size) {
  *size = program->image.size() + 1;
  return 0;
}
NVRTC nvrtcGetCUBIN(Program* program, char* image) {
  memcpy(image, program->image.c_str(), program->image.size() + 1);
  return 0;
}
NVRTC nvrtcGetPTXSize(Program* program, size_t* size) { return nvrtcGetCUBINSize(program, size); }
NVRTC nvrtcGetPTX(Program* program, char* image) { return nvrtcGetCUBIN(program, image); }
NVRTC nvrtcGetProgramLogSize(Program* program, size_t* size) {
  *size = program->log.size() + 1;
  return 0;
}
NVRTC nvrtcGetProgramLog(Program* program, char* log) {
  memcpy(log, program->log.c_str(), program->log.size() + 1);
  return 0;
}
