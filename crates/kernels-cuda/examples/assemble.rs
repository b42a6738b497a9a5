//! PTX of every kernel for the given architectures, by real NVRTC and without a device: `assemble FOLDER 80 90 newest`.
//! tools/cuda-registers.mjs hands it to ptxas.

use std::path::PathBuf;

use kernels_cuda::offline::{architectures, images, version};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let folder = PathBuf::from(words.next().ok_or("needs a folder")?);
    let known = architectures()?;
    let newest = known.iter().max().copied().ok_or("this NVRTC knows no architecture")?;
    let (major, minor) = version()?;
    eprintln!("NVRTC {major}.{minor}, architectures {known:?}");
    for word in words {
        let arch = if word == "newest" { newest } else { word.parse()? };
        for (name, image) in images(&format!("compute_{arch}"))? {
            let text = image.strip_suffix(&[0]).unwrap_or(&image);
            std::fs::write(folder.join(format!("{name}.sm_{arch}.ptx")), text)?;
        }
    }
    Ok(())
}
