//! AVX2's widest tile, three rows by four vectors, in assembly: twelve sums, three numbers of a and a vector of b take all
//! sixteen registers, where compilers keep some in memory. Its plain lines are `walk` in depth.rs. A step takes 19
//! instructions, seven of them loads; six rows by two vectors take 20 and eight, and a core whose other thread works is short
//! of both. Reading b in the multiply-adds would spare two more instructions for four more loads, which is slower.

use super::tile::Tile;
use std::arch::asm;
use std::arch::x86_64::__m256;

/// One step of the depth: where a's three numbers and b's vectors lie.
macro_rules! step {
    ([$a0:literal, $a1:literal, $a2:literal], $b:literal) => {
        concat!(
            concat!("vbroadcastss ymm12, [", $a0, "]\n"),
            concat!("vbroadcastss ymm13, [", $a1, "]\n"),
            concat!("vbroadcastss ymm14, [", $a2, "]\n"),
            column!($b, 0, ["ymm0", "ymm4", "ymm8"]),
            column!($b, 32, ["ymm1", "ymm5", "ymm9"]),
            column!($b, 64, ["ymm2", "ymm6", "ymm10"]),
            column!($b, 96, ["ymm3", "ymm7", "ymm11"]),
        )
    };
}

/// The vector of b that is `$at` bytes further, with the numbers of a.
macro_rules! column {
    ($b:literal, $at:literal, [$c0:literal, $c1:literal, $c2:literal]) => {
        concat!(
            concat!("vmovups ymm15, [", $b, " + ", $at, "]\n"),
            concat!("vfmadd231ps ", $c0, ", ymm12, ymm15\n"),
            concat!("vfmadd231ps ", $c1, ", ymm13, ymm15\n"),
            concat!("vfmadd231ps ", $c2, ", ymm14, ymm15\n"),
        )
    };
}

/// The whole depth: turns of four steps, then what is left of it. `{b_3}` are three rows of b, in bytes.
macro_rules! depth {
    ($tile:ident, $sums:ident, [$first:expr, $second:expr, $third:expr, $fourth:expr], $turn:literal, $next:literal,
     $($operand:tt)*) => {{
        let [[c0, c1, c2, c3], [c4, c5, c6, c7], [c8, c9, c10, c11]] = $sums;
        asm!(
            "sub {left}, 4",
            "jb 3f",
            "2:",
            $first, $second, $third, $fourth,
            $turn,
            "lea {b}, [{b} + 4*{b_row}]",
            "sub {left}, 4",
            "jae 2b",
            "3:",
            "add {left}, 4",
            "jz 5f",
            "4:",
            $first,
            $next,
            "add {b}, {b_row}",
            "dec {left}",
            "jnz 4b",
            "5:",
            left = inout(reg) $tile.k => _,
            a = inout(reg) $tile.a => _,
            b = inout(reg) $tile.b => _,
            b_row = in(reg) bytes($tile.b_row),
            b_3 = in(reg) bytes($tile.b_row.wrapping_mul(3)),
            inout("ymm0") *c0, inout("ymm1") *c1, inout("ymm2") *c2, inout("ymm3") *c3,
            inout("ymm4") *c4, inout("ymm5") *c5, inout("ymm6") *c6, inout("ymm7") *c7,
            inout("ymm8") *c8, inout("ymm9") *c9, inout("ymm10") *c10, inout("ymm11") *c11,
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nostack, readonly),
            $($operand)*
        )
    }};
}

fn bytes(slots: usize) -> usize {
    slots.wrapping_mul(size_of::<f32>())
}

/// Adds a · b to the sums of three rows.
/// # Safety
/// As `strips` in tile.rs, for three rows and four vectors; the CPU has AVX2 and FMA.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub unsafe fn add_up(t: Tile, sums: &mut [[__m256; 4]; 3]) {
    debug_assert!(t.a_column == 1 || t.a_row == 1);
    // SAFETY: the caller's promise: what is read lies in a and b.
    unsafe {
        if t.a_column == 1 {
            depth!(
                t, sums,
                [
                    step!(["{a}", "{a} + {row}", "{a} + 2*{row}"], "{b}"),
                    step!(["{a} + 4", "{a} + {row} + 4", "{a} + 2*{row} + 4"], "{b} + {b_row}"),
                    step!(["{a} + 8", "{a} + {row} + 8", "{a} + 2*{row} + 8"], "{b} + 2*{b_row}"),
                    step!(["{a} + 12", "{a} + {row} + 12", "{a} + 2*{row} + 12"], "{b} + {b_3}")
                ],
                "add {a}, 16", "add {a}, 4",
                row = in(reg) bytes(t.a_row),
            )
        } else {
            depth!(
                t, sums,
                [
                    step!(["{a}", "{a} + 4", "{a} + 8"], "{b}"),
                    step!(["{a} + {column}", "{a} + {column} + 4", "{a} + {column} + 8"], "{b} + {b_row}"),
                    step!(["{a} + 2*{column}", "{a} + 2*{column} + 4", "{a} + 2*{column} + 8"], "{b} + 2*{b_row}"),
                    step!(["{a} + {a_3}", "{a} + {a_3} + 4", "{a} + {a_3} + 8"], "{b} + {b_3}")
                ],
                "lea {a}, [{a} + 4*{column}]", "add {a}, {column}",
                column = in(reg) bytes(t.a_column),
                a_3 = in(reg) bytes(t.a_column.wrapping_mul(3)),
            )
        }
    }
}
