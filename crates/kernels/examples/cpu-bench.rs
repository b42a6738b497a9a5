use kernels::cpu::{matmul::*, pool::Pool, simd::Isa};
use kernels::maths::{Floats, Layout};
use std::time::Instant;
fn main() {
    let isa = Isa::best();
    for threads in [1, 2] {
        let pool = Pool::new(threads);
        let rp = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for (layout, m, n, k) in [
            (Layout::Nt, 1024, 576, 576),
            (Layout::Nt, 1024, 1536, 576),
            (Layout::Nt, 1024, 576, 1536),
            (Layout::Nt, 1024, 192, 576),
            (Layout::Nn, 1024, 576, 576),
            (Layout::Nn, 1024, 576, 1536),
            (Layout::Nn, 1024, 1536, 576),
            (Layout::Nt, 256, 49152, 576),
            (Layout::Nn, 256, 576, 49152),
            (Layout::Tn, 576, 576, 1024),
            (Layout::Tn, 1536, 576, 1024),
            (Layout::Nt, 1024, 1024, 1024),
            (Layout::Nt, 512, 2048, 2048),
            (Layout::Nt, 1024, 8, 576),
            (Layout::Nt, 1024, 576, 8),
            (Layout::Tn, 8, 576, 1024),
            (Layout::Tn, 576, 8, 1024),
            (Layout::Nn, 1024, 8, 576),
            (Layout::Nn, 1024, 576, 8),
            (Layout::Nt, 1024, 64, 576),
            (Layout::Nt, 1024, 576, 64),
            (Layout::Nt, 1, 576, 576),
            (Layout::Nt, 1, 49152, 576),
            (Layout::Nt, 4, 49152, 576),
            (Layout::Nt, 16, 576, 576),
        ] {
            let a = vec![0.5f32; m * k];
            let b = vec![0.25f32; n * k];
            let mut c = vec![0f32; m * n];
            let flops = 2.0 * (m * n * k) as f64;
            let p = Problem { layout, m, n, k, alpha: 1.0, a: Floats::F32(&a), b: Floats::F32(&b) };
            let time = |f: &mut dyn FnMut()| {
                f();
                let mut best = f64::MAX;
                let s = Instant::now();
                let mut i = 0;
                while i < 3 || s.elapsed().as_secs_f64() < 0.25 {
                    let t = Instant::now();
                    f();
                    best = best.min(t.elapsed().as_secs_f64());
                    i += 1;
                }
                best
            };
            let own = time(&mut || matmul(isa, &pool, &p, &mut c));
            let (rsa, csa) = if layout == Layout::Tn { (1, m) } else { (k, 1) };
            let (rsb, csb) = if layout == Layout::Nt { (1, k) } else { (n, 1) };
            let par = if threads == 1 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(threads) };
            let other = rp.install(|| {
                time(&mut || unsafe {
                    gemm::gemm(
                        m,
                        n,
                        k,
                        c.as_mut_ptr(),
                        1,
                        n as isize,
                        true,
                        a.as_ptr(),
                        csa as isize,
                        rsa as isize,
                        b.as_ptr(),
                        csb as isize,
                        rsb as isize,
                        1.0f32,
                        1.0f32,
                        false,
                        false,
                        false,
                        par,
                    )
                })
            });
            println!(
                "{threads}t {layout:?} {m}x{n}x{k}: own {:.1} gemm {:.1} GFLOP/s  ({:.1} us, {:.1} us)",
                flops / own / 1e9,
                flops / other / 1e9,
                own * 1e6,
                other * 1e6
            );
        }
    }
}
