//! Finds NVIDIA's libraries when a device is first opened. TEMPER_CUDA_LIBRARIES names folders to look in first, as pip's
//! wheels have them; what lies there is opened by its path, and cudarc then meets it under its own name.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cudarc::{cublaslt, driver, nvrtc};

const VARIABLE: &str = "TEMPER_CUDA_LIBRARIES";
/// In the order of their needs: NVRTC loads its builtins by name.
const PREFIXES: [&str; 4] = ["libcuda.so", "libnvrtc-builtins.so", "libnvrtc.so", "libcublasLt.so"];

fn folders() -> Vec<PathBuf> {
    std::env::var_os(VARIABLE).map(|value| std::env::split_paths(&value).collect()).unwrap_or_default()
}

/// Where headers of CUDA C++ may lie: beside the libraries, or where the toolkit is installed.
pub fn include_folders() -> Vec<PathBuf> {
    let beside = folders().into_iter().filter_map(|folder| Some(folder.parent()?.join("include")));
    let installed = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
    let roots = installed.chain([PathBuf::from("/usr/local/cuda")]).map(|root| root.join("include"));
    beside.chain(roots).filter(|folder| folder.join("cuda_fp16.h").exists() || folder.join("mma.h").exists()).collect()
}

/// Opens the libraries of a folder and never closes them.
fn open_all(folder: &Path) {
    let Ok(entries) = folder.read_dir() else { return };
    let files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    for prefix in PREFIXES {
        let named = |path: &&PathBuf| path.file_name().and_then(OsStr::to_str).is_some_and(|n| n.starts_with(prefix));
        for path in files.iter().filter(named) {
            // SAFETY: constructors of a library the user named run, as with any library that is linked.
            if let Ok(library) = unsafe { libloading::Library::new(path) } {
                std::mem::forget(library);
            }
        }
    }
}

/// Which libraries are there.
#[derive(Clone, Copy)]
pub struct Present {
    pub driver: bool,
    pub nvrtc: bool,
    pub cublaslt: bool,
}

pub fn present() -> Present {
    static PRESENT: OnceLock<Present> = OnceLock::new();
    *PRESENT.get_or_init(|| {
        folders().iter().for_each(|folder| open_all(folder));
        // SAFETY: as in `open_all`.
        unsafe {
            Present {
                driver: driver::sys::is_culib_present(),
                nvrtc: nvrtc::sys::is_culib_present(),
                cublaslt: cublaslt::sys::is_culib_present(),
            }
        }
    })
}

/// The first function that the driver should have and has not. `present().driver` holds.
pub fn missing_in_driver(names: &[&'static str]) -> Option<&'static str> {
    // SAFETY: the symbols are looked up, not called.
    let absent = |name: &&&str| unsafe { driver::sys::culib().get::<*const ()>(name.as_bytes()).is_err() };
    names.iter().find(absent).copied()
}
