//! The two clocks of a die.

/// Which clock to measure with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// Time that passed on the device's host.
    #[default]
    Wall,
    /// Time that the chip of the profile would have been busy.
    Model,
}

/// Both clocks, read together; ns since the device came up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockReading {
    /// [`Clock::Wall`].
    pub wall_ns: u64,
    /// [`Clock::Model`].
    pub model_ns: u64,
}
