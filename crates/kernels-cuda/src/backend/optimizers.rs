//! Optimizer steps: one launch for a group, steered by tensors that stay on the device.

use kernels::backend::{Codes, Control, Optimizers};
use kernels::check::{self, Group, Rounds, State};
use kernels::dtype::DType;
use kernels::error::Result;
use kernels::maths::{Adafactor, AdamW, Lion, Sgd};
use kernels::store::Slot;

use super::{at, single, Cuda, Reals, Tensored};
use crate::launch::{arg, blocks, Shape};
use crate::memory::{Buffer, Memory};
use crate::sources::OPTIMIZER;

/// Elements of a piece, as in cu/optimizer.cu.
const CHUNK: usize = 8192;
/// Addresses of a tensor's parts, and its length.
type Item = [u64; 7];

/// `Item` and `Piece` of cu/optimizer.cu.
struct Pieces {
    items: Buffer,
    pieces: Buffer,
    count: usize,
}

/// The [1] tensors that steer a step.
pub(super) struct Steering {
    step: Tensored,
    scale: Reals,
    skip: Reals,
}

impl Steering {
    pub fn arguments(&self) -> [u64; 3] {
        [at(&self.step), self.scale.at(), self.skip.at()]
    }
}

/// Parts beyond those of the op stay 0.
fn item(parts: &[u64], length: usize) -> Item {
    let mut item = [0; 7];
    item[..parts.len()].copy_from_slice(parts);
    item[6] = length as u64;
    item
}

impl Cuda {
    fn pieces(&self, op: &'static str, items: &[Item]) -> Result<Pieces> {
        let chunks = |(i, item): (usize, &Item)| {
            let count = (item[6] as usize).div_ceil(CHUNK) as u32;
            (0..count).map(move |chunk| [i as u32, chunk])
        };
        let pieces: Vec<[u32; 2]> = items.iter().enumerate().flat_map(chunks).collect();
        Ok(Pieces { items: self.sent(op, items)?, pieces: self.sent(op, &pieces)?, count: pieces.len() })
    }

    pub(super) fn group(
        &self,
        op: &'static str,
        params: &[Slot],
        grads: &[Slot],
        states: Vec<State<Memory>>,
        rounds: Rounds,
    ) -> Result<Group<Memory>> {
        let group = check::group(op, self.get_all(op, params)?, self.get_all(op, grads)?, states, rounds)?;
        single(op, group.dtype)?;
        Ok(group)
    }

    pub(super) fn steering(&self, op: &'static str, control: Control, group: &Group<Memory>) -> Result<Steering> {
        let (step, scale, skip) =
            (self.get(op, control.step)?, self.get(op, control.scale)?, self.get(op, control.skip)?);
        check::control(op, group, [&step, &scale, &skip])?;
        Ok(Steering { step, scale: self.reals(op, &scale)?, skip: self.reals(op, &skip)? })
    }

    /// The count of updates, which the last kernel of a step raises.
    pub(super) fn advance(&self, op: &'static str, steering: &Steering) -> Result<()> {
        let [step, _, skip] = steering.arguments();
        self.kernels.launch(op, &OPTIMIZER, "advance", Shape { grid: [1; 3], block: 1, shared: 0 }, &mut [step, skip])
    }

    /// One launch over the whole group.
    fn update(
        &self,
        op: &'static str,
        kernel: &'static str,
        group: &Group<Memory>,
        control: Control,
        options: &[u64],
    ) -> Result<()> {
        let steering = self.steering(op, control, group)?;
        let item_of = |i: usize| {
            let states = group.states.iter().map(|list| at(&list[i]));
            let parts: Vec<u64> = [at(&group.params[i]), at(&group.grads[i])].into_iter().chain(states).collect();
            item(&parts, group.params[i].len())
        };
        let items: Vec<Item> = (0..group.params.len()).map(item_of).collect();
        let Pieces { items, pieces, count } = self.pieces(op, &items)?;
        let own = [items.at(), pieces.at()];
        let mut arguments = [own.as_slice(), &steering.arguments(), options].concat();
        self.kernels.launch(op, &OPTIMIZER, kernel, blocks(count, 256), &mut arguments)?;
        self.advance(op, &steering)
    }
}

impl Optimizers for Cuda {
    fn grad_norm(&mut self, grads: &[Slot]) -> Result<Slot> {
        let op = "gradNorm";
        let grads = self.get_all(op, grads)?;
        single(op, check::compute_dtype(op, &grads.iter().collect::<Vec<_>>())?)?;
        let reals = grads.iter().map(|g| self.reals(op, g)).collect::<Result<Vec<_>>>()?;
        let items: Vec<Item> = grads.iter().zip(&reals).map(|(g, reals)| item(&[reals.at()], g.len())).collect();
        let norm = self.unset(op, &[1])?;
        let Pieces { items, pieces, count } = self.pieces(op, &items)?;
        let partial = self.scratch(op, 8 * count)?;
        let mut arguments = [items.at(), pieces.at(), partial.at()];
        self.kernels.launch(op, &OPTIMIZER, "squares", blocks(count, 256), &mut arguments)?;
        let mut arguments = [partial.at(), arg::size(count), norm.at()];
        self.kernels.launch(op, &OPTIMIZER, "norm_of", blocks(1, 256), &mut arguments)?;
        self.keep(op, norm)
    }

    fn clip_factor(&mut self, norm: Slot, max_norm: f64) -> Result<[Slot; 2]> {
        let op = "clipFactor";
        let norm = self.get(op, norm)?;
        single(op, check::clip_factor(&norm, max_norm)?)?;
        let (scale, skip) = (self.unset(op, &[1])?, self.unset(op, &[1])?);
        let norm = self.reals(op, &norm)?;
        let mut arguments = [norm.at(), arg::float(max_norm), scale.at(), skip.at()];
        let shape = Shape { grid: [1; 3], block: 1, shared: 0 };
        self.kernels.launch(op, &OPTIMIZER, "clip_factor", shape, &mut arguments)?;
        self.keep_array(op, [scale, skip])
    }

    fn adamw(
        &mut self,
        params: &[Slot],
        grads: &[Slot],
        m: &[Slot],
        v: &[Slot],
        control: Control,
        options: AdamW,
    ) -> Result<()> {
        let op = "adamw";
        check::adamw(options)?;
        let states = vec![State::like("m", self.get_all(op, m)?), State::like("v", self.get_all(op, v)?)];
        let group = self.group(op, params, grads, states, Rounds::ToBf16)?;
        let numbers = [adam_arguments(options).as_slice(), &[rounded(&group)]].concat();
        self.update(op, "adamw", &group, control, &numbers)
    }

    fn sgd(
        &mut self,
        params: &[Slot],
        grads: &[Slot],
        momentum: &[Slot],
        control: Control,
        options: Sgd,
    ) -> Result<()> {
        let op = "sgd";
        let buffers = check::sgd(options, momentum.len())?;
        let states = if buffers { vec![State::like("momentum", self.get_all(op, momentum)?)] } else { Vec::new() };
        let group = self.group(op, params, grads, states, Rounds::ToBf16)?;
        let Sgd { lr, momentum, nesterov, weight_decay } = options;
        let flags = [buffers, nesterov].map(|flag| arg::int(i32::from(flag)));
        let numbers =
            [arg::float(lr), arg::float(momentum), flags[0], flags[1], arg::float(weight_decay), rounded(&group)];
        self.update(op, "sgd", &group, control, &numbers)
    }

    fn lion(&mut self, params: &[Slot], grads: &[Slot], m: &[Slot], control: Control, options: Lion) -> Result<()> {
        let op = "lion";
        check::lion(options)?;
        let group = self.group(op, params, grads, vec![State::like("m", self.get_all(op, m)?)], Rounds::ToBf16)?;
        let Lion { lr, beta1, beta2, weight_decay } = options;
        let [lr, beta1, beta2, decay] = [lr, beta1, beta2, weight_decay].map(arg::double);
        self.update(op, "lion", &group, control, &[lr, beta1, beta2, decay, rounded(&group)])
    }

    fn adafactor(
        &mut self,
        params: &[Slot],
        grads: &[Slot],
        rows: &[Slot],
        columns: &[Slot],
        control: Control,
        options: Adafactor,
    ) -> Result<()> {
        self.factored(params, grads, [rows, columns], control, options)
    }

    fn adamw_8bit(
        &mut self,
        params: &[Slot],
        grads: &[Slot],
        m: Codes,
        v: Codes,
        control: Control,
        options: AdamW,
    ) -> Result<()> {
        let op = "adamw8bit";
        check::adamw_8bit(options)?;
        let states = vec![
            State::codes("m", self.get_all(op, m.codes)?),
            State::scales("mScales", self.get_all(op, m.scales)?),
            State::codes("v", self.get_all(op, v.codes)?),
            State::scales("vScales", self.get_all(op, v.scales)?),
        ];
        let group = self.group(op, params, grads, states, Rounds::Never)?;
        let tables = [self.dynamic_values(op)?.at(), self.dynamic_nearest(op)?.at()];
        let numbers = [adam_arguments(options).as_slice(), &tables].concat();
        self.update(op, "adamw_8bit", &group, control, &numbers)
    }
}

/// The `kind` of parameters and states.
fn rounded(group: &Group<Memory>) -> u64 {
    arg::int(i32::from(group.dtype == DType::Bf16))
}

fn adam_arguments(options: AdamW) -> [u64; 5] {
    let AdamW { lr, beta1, beta2, epsilon, weight_decay } = options;
    [lr, beta1, beta2, epsilon, weight_decay].map(arg::double)
}
