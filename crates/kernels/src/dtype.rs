//! Element types of tensors.

use std::borrow::Cow;

use half::{bf16, f16};

use crate::codec::Codec;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    F32,
    Bf16,
    F16,
    F64,
    I32,
    I8,
    U8,
    /// A weight in blocks, which has no single elements.
    Coded(Codec),
}

impl DType {
    /// Those with elements.
    const PLAIN: [DType; 7] = [DType::F32, DType::Bf16, DType::F16, DType::F64, DType::I32, DType::I8, DType::U8];

    pub fn name(self) -> Cow<'static, str> {
        let name = match self {
            DType::F32 => "f32",
            DType::Bf16 => "bf16",
            DType::F16 => "f16",
            DType::F64 => "f64",
            DType::I32 => "i32",
            DType::I8 => "i8",
            DType::U8 => "u8",
            DType::Coded(codec) => return codec.name().into(),
        };
        name.into()
    }

    pub fn from_name(name: &str) -> Option<DType> {
        let plain = DType::PLAIN.into_iter().find(|dtype| dtype.name() == name);
        plain.or_else(|| Codec::from_name(name).map(DType::Coded))
    }

    /// Bytes of one element; a codec has none.
    pub fn size(self) -> Option<usize> {
        match self {
            DType::F64 => Some(8),
            DType::F32 | DType::I32 => Some(4),
            DType::Bf16 | DType::F16 => Some(2),
            DType::I8 | DType::U8 => Some(1),
            DType::Coded(_) => None,
        }
    }

    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::Bf16 | DType::F16 | DType::F64)
    }
}

/// A Rust type that tensors hold. Conversion goes through f64, which holds every element exactly.
pub trait Element: bytemuck::Pod + Send + Sync {
    const DTYPE: DType;
    fn widen(self) -> f64;
    /// Rounds to nearest even for floats; truncates and saturates for integers.
    fn narrow(value: f64) -> Self;
}

macro_rules! element {
    ($type:ty, $dtype:ident, $widen:expr, $narrow:expr) => {
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
            fn widen(self) -> f64 {
                let widen: fn($type) -> f64 = $widen;
                widen(self)
            }
            fn narrow(value: f64) -> Self {
                let narrow: fn(f64) -> $type = $narrow;
                narrow(value)
            }
        }
    };
}

element!(f32, F32, |x| f64::from(x), |x| x as f32);
element!(f64, F64, |x| x, |x| x);
element!(bf16, Bf16, |x| x.to_f64(), bf16::from_f64);
element!(f16, F16, |x| x.to_f64(), f16::from_f64);
element!(i32, I32, |x| f64::from(x), |x| x as i32);
element!(i8, I8, |x| f64::from(x), |x| x as i8);
element!(u8, U8, |x| f64::from(x), |x| x as u8);

/// Runs `$body` with the type alias `$T` bound to the Rust type of a run-time dtype, `$other` where that is a codec.
#[macro_export]
macro_rules! with_dtype {
    ($dtype:expr, $T:ident => $body:expr, $codec:pat => $other:expr) => {
        match $dtype {
            $crate::dtype::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::dtype::DType::F64 => {
                type $T = f64;
                $body
            }
            $crate::dtype::DType::Bf16 => {
                type $T = half::bf16;
                $body
            }
            $crate::dtype::DType::F16 => {
                type $T = half::f16;
                $body
            }
            $crate::dtype::DType::I32 => {
                type $T = i32;
                $body
            }
            $crate::dtype::DType::I8 => {
                type $T = i8;
                $body
            }
            $crate::dtype::DType::U8 => {
                type $T = u8;
                $body
            }
            $crate::dtype::DType::Coded($codec) => $other,
        }
    };
}
