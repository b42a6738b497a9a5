use kernels::backend::Control;
use kernels::check::{self, Rounds, State};
use kernels::error::Result;
use kernels::maths::Adafactor;
use kernels::store::Slot;

use super::elementwise::tall;
use super::{at, Cuda, Tensored};
use crate::launch::{arg, blocks, over, threads_for};
use crate::sources::ADAFACTOR;

const OP: &str = "adafactor";
/// Rows, and elements, that one block adds up.
const ROWS: usize = 64;
const SUMMED: usize = 4096;

/// One tensor p [height, width] of the group; a vector has no moments of rows.
struct Part<'a> {
    p: &'a Tensored,
    g: &'a Tensored,
    rows: &'a Tensored,
    columns: &'a Tensored,
}

impl Cuda {
    pub(super) fn factored(
        &mut self,
        params: &[Slot],
        grads: &[Slot],
        [rows, columns]: [&[Slot]; 2],
        control: Control,
        options: Adafactor,
    ) -> Result<()> {
        check::adafactor(options, &self.get_all(OP, params)?)?;
        let states = vec![State::rows(self.get_all(OP, rows)?), State::columns(self.get_all(OP, columns)?)];
        let group = self.group(OP, params, grads, states, Rounds::Never)?;
        let steering = self.steering(OP, control, &group)?;
        for (i, p) in group.params.iter().enumerate().filter(|(_, p)| !p.is_empty()) {
            let part = Part { p, g: &group.grads[i], rows: &group.states[0][i], columns: &group.states[1][i] };
            self.factor_one(&part, steering.arguments(), options)?;
        }
        self.advance(OP, &steering)
    }

    fn factor_one(&self, part: &Part, control: [u64; 3], options: Adafactor) -> Result<()> {
        let [_, scale, skip] = control;
        let (width, n) = (part.columns.len(), part.p.len());
        let (g, columns) = (at(part.g), at(part.columns));
        self.average(part, control, options)?;
        let rows = if part.rows.is_empty() { 0 } else { at(part.rows) };
        let mean = self.scratch(OP, 8)?;
        if rows != 0 {
            let mut arguments = [rows, arg::size(part.rows.len()), mean.at()];
            self.kernels.launch(OP, &ADAFACTOR, "mean", blocks(1, 256), &mut arguments)?;
        }
        let count = n.div_ceil(SUMMED);
        let (partial, size) = (self.scratch(OP, 8 * count)?, self.scratch(OP, 4)?);
        let mut arguments = [g, rows, columns, mean.at(), scale, arg::size(width), arg::size(n), partial.at()];
        self.kernels.launch(OP, &ADAFACTOR, "update_squares", blocks(count, 256), &mut arguments)?;
        let numbers = [arg::double(options.lr), arg::double(options.clip), size.at()];
        let mut arguments = [[partial.at(), arg::size(count), arg::size(n)], numbers].concat();
        self.kernels.launch(OP, &ADAFACTOR, "step_size", blocks(1, 256), &mut arguments)?;
        let keep = arg::float(1.0 - options.weight_decay * options.lr);
        let own = [at(part.p), g, rows, columns, mean.at(), scale, skip, size.at(), keep];
        let mut arguments = [own.as_slice(), &[arg::size(width), arg::size(n)]].concat();
        self.kernels.launch(OP, &ADAFACTOR, "descend", over(n), &mut arguments)
    }

    /// The moments of columns and rows.
    fn average(&self, part: &Part, [step, scale, skip]: [u64; 3], options: Adafactor) -> Result<()> {
        let (g, width) = (at(part.g), part.columns.len());
        let height = part.p.len() / width;
        let [rate, epsilon] = [options.decay_rate, options.epsilon].map(arg::double);
        let count = height.div_ceil(ROWS);
        let partial = self.scratch(OP, 8 * count * width)?;
        let [tall_height, wide] = [height, width].map(arg::size);
        let mut arguments = [g, partial.at(), tall_height, wide];
        self.kernels.launch(OP, &ADAFACTOR, "column_squares", tall(OP, count, width)?, &mut arguments)?;
        let own = [partial.at(), arg::size(count), tall_height, wide];
        let rest = [step, scale, skip, rate, epsilon, at(part.columns)];
        self.kernels.launch(OP, &ADAFACTOR, "columns", over(width), &mut [own.as_slice(), &rest].concat())?;
        if part.rows.is_empty() {
            return Ok(());
        }
        let mut arguments = [g, wide, step, scale, skip, rate, epsilon, at(part.rows)];
        self.kernels.launch(OP, &ADAFACTOR, "rows", blocks(height, threads_for(width)), &mut arguments)
    }
}
