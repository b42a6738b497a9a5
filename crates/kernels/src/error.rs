//! The one error of the crate: a stable code, the op that refused, and both sides of the disagreement.

/// Stable names that cross every boundary as `code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    InvalidShape,
    InvalidDtype,
    InvalidArgument,
    OutOfRange,
    TensorDisposed,
    OutOfMemory,
    NoBackend,
    DeviceFailed,
    Panic,
}

impl Code {
    pub fn name(self) -> &'static str {
        match self {
            Code::InvalidShape => "INVALID_SHAPE",
            Code::InvalidDtype => "INVALID_DTYPE",
            Code::InvalidArgument => "INVALID_ARGUMENT",
            Code::OutOfRange => "OUT_OF_RANGE",
            Code::TensorDisposed => "TENSOR_DISPOSED",
            Code::OutOfMemory => "OUT_OF_MEMORY",
            Code::NoBackend => "NO_BACKEND",
            Code::DeviceFailed => "DEVICE_FAILED",
            Code::Panic => "PANIC",
        }
    }
}

#[derive(Clone, Debug, thiserror::Error)]
#[error("{op}: {message}")]
pub struct KernelError {
    code: Code,
    op: &'static str,
    message: String,
}

pub type Result<T> = std::result::Result<T, KernelError>;

impl KernelError {
    pub fn new(code: Code, op: &'static str, message: impl Into<String>) -> Self {
        Self { code, op, message: message.into() }
    }

    pub fn code(&self) -> Code {
        self.code
    }
}

macro_rules! constructors {
    ($($name:ident => $code:ident),* $(,)?) => {
        impl KernelError {
            $(pub fn $name(op: &'static str, message: impl Into<String>) -> Self {
                Self::new(Code::$code, op, message)
            })*
        }
    };
}

constructors! {
    shape => InvalidShape,
    dtype => InvalidDtype,
    argument => InvalidArgument,
    range => OutOfRange,
    disposed => TensorDisposed,
    memory => OutOfMemory,
}
