//! The one door between JavaScript and the kernels: every error keeps its code. A panic ends in a trap, as there is no
//! unwinding here; what it said is kept for the loader, and the backend it was in, left half way, is not entered again.

use std::cell::{Cell, RefCell};
use std::panic::set_hook;

use kernels::backend::Backend;
use kernels::error::{Code, KernelError};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = Error)]
    pub type JsError;
    #[wasm_bindgen(constructor, js_class = "Error")]
    fn new(message: &str) -> JsError;
    #[wasm_bindgen(method, setter, structural)]
    fn set_code(this: &JsError, code: &str);
}

pub type Result<T> = std::result::Result<T, JsError>;

fn to_js(error: KernelError) -> JsError {
    let thrown = JsError::new(&error.to_string());
    thrown.set_code(error.code().name());
    thrown
}

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static HOOKED: Cell<bool> = const { Cell::new(false) };
}

/// What the latest panic said, once.
#[wasm_bindgen(js_name = lastPanic)]
pub fn last_panic() -> Option<String> {
    LAST_PANIC.take()
}

pub fn guarded<T>(f: impl FnOnce() -> kernels::error::Result<T>) -> Result<T> {
    if !HOOKED.replace(true) {
        set_hook(Box::new(|info| LAST_PANIC.set(Some(info.to_string().replace('\n', ": ")))));
    }
    f().map_err(to_js)
}

/// Runs `f` on the backend, which nothing else can be in: there is one thread, and no call calls back.
pub fn on_backend<T>(
    backend: &RefCell<Box<dyn Backend>>,
    op: &'static str,
    f: impl FnOnce(&mut dyn Backend) -> kernels::error::Result<T>,
) -> Result<T> {
    guarded(|| {
        let lost = |_| KernelError::new(Code::Panic, op, "this backend was lost to an earlier panic; open another");
        f(backend.try_borrow_mut().map_err(lost)?.as_mut())
    })
}
