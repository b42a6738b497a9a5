//! Decompositions run once, before training: by the one implementation for all machines, in this process.

use kernels::backend::Decompositions;
use kernels::check;
use kernels::error::Result;
use kernels::store::Slot;
use kernels::svd::{decompose, Method};

use super::{single, Cuda, Output};

impl Decompositions for Cuda {
    fn svd(&mut self, x: Slot, rank: usize, method: Method) -> Result<[Slot; 3]> {
        let op = "svd";
        let x = self.get(op, x)?;
        let (dtype, [rows, columns]) = check::svd(&x, rank, method)?;
        single(op, dtype)?;
        let numbers = self.reals(op, &x)?;
        let mut values = vec![0f32; x.len()];
        self.device.download(op, numbers.at(), bytemuck::cast_slice_mut(&mut values))?;
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let parts = decompose(op, &values, [rows, columns], rank, method)?;
        let shapes: [&[usize]; 3] = [&[rows, rank], &[rank], &[rank, columns]];
        let outputs = shapes.iter().zip(parts).map(|(shape, part)| {
            let output = self.unset(op, shape)?;
            let single: Vec<f32> = part.into_iter().map(|value| value as f32).collect();
            output.buffer.write(op, bytemuck::cast_slice(&single))?;
            Ok(output)
        });
        let outputs = outputs.collect::<Result<Vec<Output>>>()?;
        let slots = self.keep_all(op, outputs)?;
        slots.try_into().map_err(|_| kernels::error::KernelError::argument(op, "outputs were lost"))
    }
}
