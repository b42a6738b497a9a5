//! The kernels, one file per family of ops; names as in crates/kernels/src/cpu.

pub const COMMON: &str = include_str!("../cu/common.cuh");

pub struct Source {
    pub name: &'static str,
    pub text: &'static str,
    pub options: &'static [&'static str],
    /// Whether it includes headers of the toolkit.
    pub needs_headers: bool,
}

const USUAL: &[&str] = &["--std=c++17", "-default-device"];
/// Products and sums are rounded one by one, as on the CPU: codes and random numbers must be the same.
const EXACT: &[&str] = &["--std=c++17", "-default-device", "--fmad=false"];

/// The file of a name, or another one behind a definition.
macro_rules! text {
    ($name:literal) => {
        include_str!(concat!("../cu/", $name, ".cu"))
    };
    ($name:literal, $file:literal, $definition:literal) => {
        concat!("#define ", $definition, "\n", include_str!(concat!("../cu/", $file, ".cu")))
    };
}

macro_rules! sources {
    ($($constant:ident = $name:literal $(($file:literal, $definition:literal))?, $options:expr, $headers:expr;)*) => {
        $(pub const $constant: Source = Source {
            name: $name,
            text: text!($name $(, $file, $definition)?),
            options: $options,
            needs_headers: $headers,
        };)*
        pub const ALL: &[&Source] = &[$(&$constant),*];
    };
}

sources! {
    ACTIVATION = "activation", USUAL, false;
    ADAFACTOR = "adafactor", EXACT, false;
    ATTENTION = "attention", USUAL, false;
    CODECS = "codecs", EXACT, false;
    ELEMENTWISE = "elementwise", EXACT, false;
    FLASH = "flash", USUAL, true;
    FLASH_F16 = "flash_f16" ("flash", "PRODUCTS_OF_F16"), USUAL, true;
    GATED = "gated", USUAL, false;
    LINEAR_INT8 = "linear_int8", EXACT, false;
    LOSS = "loss", USUAL, false;
    NORM = "norm", USUAL, false;
    OPTIMIZER = "optimizer", EXACT, false;
    RANDOM = "random", EXACT, false;
    ROPE = "rope", USUAL, false;
    ROTATIONS = "rotations", USUAL, false;
    ROWS = "rows", USUAL, false;
}
