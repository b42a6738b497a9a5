//! CUDA C++ to machine code by NVRTC, once for a device's architecture: the result lies in the user's cache folder under
//! a hash of source, options and NVRTC's version. A file that does not carry its own hash is made again.

use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};

use cudarc::nvrtc::sys::{self, nvrtcResult};
use kernels::error::{Code, KernelError, Result};

use crate::libraries::include_folders;
use crate::sources::{Source, COMMON};

fn failed(op: &'static str, message: impl Into<String>) -> KernelError {
    KernelError::new(Code::NoBackend, op, message)
}

pub fn check(op: &'static str, doing: &str, answer: nvrtcResult) -> Result<()> {
    match answer {
        nvrtcResult::NVRTC_SUCCESS => Ok(()),
        other => Err(failed(op, format!("NVRTC {doing}: {other:?}"))),
    }
}

pub struct Compiler {
    pub version: (i32, i32),
    /// "sm_90", or "compute_90" where this NVRTC does not know the device: the driver then goes on from PTX.
    pub target: String,
    pub cache: Option<PathBuf>,
}

/// FNV-1a of 128 bits.
fn hash(parts: &[&[u8]]) -> u128 {
    const PRIME: u128 = (1 << 88) + (1 << 8) + 0x3b;
    let start = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    // A part's length before it: two splits of one text differ.
    parts.iter().fold(start, |hash, part| {
        let length = (part.len() as u64).to_le_bytes();
        length.iter().chain(*part).fold(hash, |hash, &byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
    })
}

/// Where heavy things of the user lie that outlast a run.
fn cache_folder() -> Option<PathBuf> {
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = of("XDG_CACHE_HOME").or_else(|| Some(of("HOME")?.join(".cache")));
    let folder = of("TEMPER_CACHE").or_else(|| Some(base?.join("welltempered")))?;
    Some(folder.join("cuda-kernels"))
}

/// All that this NVRTC compiles for.
pub fn architectures(op: &'static str) -> Result<Vec<i32>> {
    let mut count = 0;
    // SAFETY: the second call fills as many numbers as the first one told.
    unsafe {
        check(op, "lists no architectures", sys::nvrtcGetNumSupportedArchs(&mut count))?;
        let mut known = vec![0; count.max(0) as usize];
        check(op, "lists no architectures", sys::nvrtcGetSupportedArchs(known.as_mut_ptr()))?;
        Ok(known)
    }
}

/// The newest architecture this NVRTC knows that the device runs.
fn target(op: &'static str, capability: i32) -> Result<String> {
    let best = architectures(op)?.into_iter().filter(|&arch| arch <= capability).max();
    match best {
        Some(arch) if arch == capability => Ok(format!("sm_{arch}")),
        Some(arch) if arch >= 80 => Ok(format!("compute_{arch}")),
        _ => Err(failed(op, format!("this NVRTC compiles for no architecture that serves {capability}"))),
    }
}

impl Compiler {
    /// NVRTC is present.
    pub fn new(op: &'static str, capability: i32) -> Result<Compiler> {
        let (mut major, mut minor) = (0, 0);
        // SAFETY: both outlive the call.
        check(op, "has no version", unsafe { sys::nvrtcVersion(&mut major, &mut minor) })?;
        Ok(Compiler { version: (major, minor), target: target(op, capability)?, cache: cache_folder() })
    }

    pub fn options(&self, source: &Source) -> Vec<String> {
        let mut options = vec![format!("--gpu-architecture={}", self.target)];
        options.extend(source.options.iter().map(|&option| option.to_owned()));
        if source.needs_headers {
            let folders = include_folders();
            options.extend(folders.iter().map(|folder| format!("--include-path={}", folder.display())));
        }
        options
    }

    fn file(&self, source: &Source, options: &[String]) -> Option<PathBuf> {
        let version = format!("{}.{}", self.version.0, self.version.1);
        // Where headers lie is no part of what they say.
        let own = options.iter().filter(|option| !option.starts_with("--include-path"));
        let own = own.map(String::as_str).collect::<Vec<_>>().join(" ");
        let key = hash(&[source.text.as_bytes(), COMMON.as_bytes(), own.as_bytes(), version.as_bytes()]);
        Some(self.cache.as_ref()?.join(format!("{}-{key:032x}.bin", source.name)))
    }

    /// The image to load: from the cache where it is whole there, else made and kept.
    pub fn image(&self, op: &'static str, source: &Source) -> Result<Vec<u8>> {
        let options = self.options(source);
        let file = self.file(source, &options);
        if let Some(image) = file.as_deref().and_then(read_whole) {
            return Ok(image);
        }
        let image = self.compile(op, source, &options)?;
        // A cache that cannot be written costs time, not the run.
        file.as_deref().and_then(|file| write_whole(file, &image).ok());
        Ok(image)
    }

    pub fn forget(&self, source: &Source) {
        if let Some(file) = self.file(source, &self.options(source)) {
            let _ = std::fs::remove_file(file);
        }
    }

    fn compile(&self, op: &'static str, source: &Source, options: &[String]) -> Result<Vec<u8>> {
        let string = |text: &str| CString::new(text).map_err(|_| failed(op, "a source with a 0"));
        let (text, name) = (string(source.text)?, string(&format!("{}.cu", source.name))?);
        let (common, common_name) = (string(COMMON)?, string("common.cuh")?);
        let (headers, names) = ([common.as_ptr()], [common_name.as_ptr()]);
        let mut program = Program(std::ptr::null_mut());
        // SAFETY: all strings end with 0 and outlive the call.
        let answer = unsafe {
            let (headers, names) = (headers.as_ptr(), names.as_ptr());
            sys::nvrtcCreateProgram(&mut program.0, text.as_ptr(), name.as_ptr(), 1, headers, names)
        };
        check(op, "refuses a program", answer)?;
        let options = options.iter().map(|option| string(option)).collect::<Result<Vec<_>>>()?;
        let pointers: Vec<_> = options.iter().map(|option| option.as_ptr()).collect();
        // SAFETY: as above.
        let answer = unsafe { sys::nvrtcCompileProgram(program.0, pointers.len() as i32, pointers.as_ptr()) };
        if answer != nvrtcResult::NVRTC_SUCCESS {
            let first = program.first_error();
            return Err(failed(op, format!("NVRTC cannot compile {}.cu: {answer:?}: {first}", source.name)));
        }
        program.result(op, self.target.starts_with("sm_"))
    }
}

struct Program(sys::nvrtcProgram);

impl Program {
    fn result(&self, op: &'static str, cubin: bool) -> Result<Vec<u8>> {
        let mut size = 0;
        // SAFETY: the second call fills as many bytes as the first one told.
        unsafe {
            let answer = match cubin {
                true => sys::nvrtcGetCUBINSize(self.0, &mut size),
                false => sys::nvrtcGetPTXSize(self.0, &mut size),
            };
            check(op, "gives no result", answer)?;
            let mut image = vec![0u8; size];
            let answer = match cubin {
                true => sys::nvrtcGetCUBIN(self.0, image.as_mut_ptr().cast()),
                false => sys::nvrtcGetPTX(self.0, image.as_mut_ptr().cast()),
            };
            check(op, "gives no result", answer)?;
            Ok(image)
        }
    }

    /// The first line of the log that is an error.
    fn first_error(&self) -> String {
        let mut size = 0;
        // SAFETY: the second call fills as many bytes as the first one told, the last a 0.
        unsafe {
            if sys::nvrtcGetProgramLogSize(self.0, &mut size) != nvrtcResult::NVRTC_SUCCESS || size == 0 {
                return "no log".into();
            }
            let mut log = vec![0u8; size];
            if sys::nvrtcGetProgramLog(self.0, log.as_mut_ptr().cast()) != nvrtcResult::NVRTC_SUCCESS {
                return "no log".into();
            }
            let log = CStr::from_bytes_until_nul(&log).unwrap_or_default().to_string_lossy().into_owned();
            log.lines().find(|line| line.contains("error")).unwrap_or("no error in the log").to_owned()
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the program is not used afterwards.
            let _ = unsafe { sys::nvrtcDestroyProgram(&mut self.0) };
        }
    }
}

/// The image of a file that begins with the image's hash.
fn read_whole(file: &Path) -> Option<Vec<u8>> {
    let bytes = std::fs::read(file).ok()?;
    let (sum, image) = bytes.split_at_checked(16)?;
    (sum == hash(&[image]).to_le_bytes()).then(|| image.to_vec())
}

fn write_whole(file: &Path, image: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    // Several processes may compile at a time: each writes a file of its own, and the last rename stays.
    let fresh = file.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&fresh, [&hash(&[image]).to_le_bytes(), image].concat())?;
    std::fs::rename(fresh, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_file_is_used_only_whole() {
        let folder = std::env::temp_dir().join(format!("temper-compile-{}", std::process::id()));
        let file = folder.join("kernel.bin");
        write_whole(&file, b"image").unwrap();
        assert_eq!(read_whole(&file).as_deref(), Some(&b"image"[..]));
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[17] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        assert_eq!(read_whole(&file), None);
        std::fs::write(&file, b"short").unwrap();
        assert_eq!(read_whole(&file), None);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn parts_of_a_key_do_not_run_together() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_eq!(hash(&[]), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
    }
}
