//! The one door between JavaScript and the kernels: no panic passes it, and every error keeps its code.

use std::cell::RefCell;
use std::panic::{catch_unwind, set_hook, AssertUnwindSafe};
use std::sync::{Mutex, Once};

use kernels::backend::Backend;
use kernels::error::{Code, KernelError};
use kernels::fault;

/// `code` of the error that JavaScript catches.
pub struct ErrorCode(&'static str);

impl AsRef<str> for ErrorCode {
    fn as_ref(&self) -> &str {
        self.0
    }
}

pub type Result<T> = std::result::Result<T, napi::Error<ErrorCode>>;

pub fn to_js(error: KernelError) -> napi::Error<ErrorCode> {
    napi::Error::new(ErrorCode(error.code().name()), error.to_string())
}

/// Where the latest panic was and what it said; the default hook would print it instead.
static LAST_PANIC: Mutex<Option<String>> = Mutex::new(None);
static HOOK: Once = Once::new();

fn remember_panics() {
    HOOK.call_once(|| {
        set_hook(Box::new(|info| {
            if let Ok(mut last) = LAST_PANIC.lock() {
                *last = Some(info.to_string().replace('\n', ": "));
            }
        }));
    });
}

/// Runs `f`; a panic in it becomes an error with the code PANIC.
pub fn guarded<T>(op: &'static str, f: impl FnOnce() -> kernels::error::Result<T>) -> Result<T> {
    remember_panics();
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result.map_err(to_js),
        Err(payload) => {
            // A payload may itself panic when it is dropped.
            std::mem::forget(payload);
            let said = LAST_PANIC.lock().ok().and_then(|mut last| last.take());
            let message = said.unwrap_or_else(|| "panicked".into());
            Err(to_js(KernelError::new(Code::Panic, op, format!("{message}; this is a bug, please report it"))))
        }
    }
}

/// Runs `f` on the backend, which a call inside a call cannot have.
pub fn on_backend<T>(
    backend: &RefCell<Box<dyn Backend>>,
    op: &'static str,
    f: impl FnOnce(&mut dyn Backend) -> kernels::error::Result<T>,
) -> Result<T> {
    guarded(op, || {
        let mut backend =
            backend.try_borrow_mut().map_err(|_| KernelError::argument(op, "called inside another call"))?;
        fail_on_request(op);
        let result = f(backend.as_mut());
        fault::spoil_worker(false);
        result
    })
}

/// TEMPER_FAULT=panic:<op> makes that op panic, panic-drop:<op> with a payload whose drop panics too, panic-worker:<op>
/// in a thread of the pool. In builds for tests.
fn fail_on_request(op: &str) {
    // Read once: an op of a decoding step takes no longer than a few looks into the environment.
    let Some(request) = fault::request() else { return };
    let asked = |kind| request.split_once(':') == Some((kind, op));
    assert!(!asked("panic"), "fault asked for by TEMPER_FAULT");
    if asked("panic-drop") {
        std::panic::panic_any(PanicsInDrop);
    }
    fault::spoil_worker(asked("panic-worker"));
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("a payload was dropped");
    }
}
