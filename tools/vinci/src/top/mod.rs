//! `vinci top`: dies and processes of the device, live.

mod sample;
mod view;

use std::collections::VecDeque;
use std::io::{IsTerminal, stdout};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use sample::{Sample, Sampler};
use view::{MEMORY, Order, View};

/// Text below the options.
pub const EXAMPLES: &str = "\
Keys: q quits, s sorts the processes by something else, up and down scroll, + and - change the interval.

All processes are seen of a device that several can have: one behind `vinci serve`, or a kernel driver's. With an
embedded device there is only this program's own.
  vinci --device unix:/tmp/npu.sock top
  vinci top --once                     one picture, for a log
  vinci top --json --interval 5        an object every 5 seconds, for a script";

/// What --once waits between two looks, for the rates.
const SHORT: Duration = Duration::from_millis(250);
const HELP: &str = "q quit  s sort  ↑↓ scroll  +- interval";

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// Print one picture and end
    #[arg(long)]
    once: bool,
    /// An object per moment instead of a picture
    #[arg(long)]
    json: bool,
    /// Seconds between two moments
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    interval: f64,
}

/// A picture as text, for a terminal of a size.
fn text(width: u16, height: u16, draw: impl FnOnce(&mut Frame<'_>)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("this backend does not fail");
    terminal.draw(draw).expect("this backend does not fail");
    let buffer = terminal.backend().buffer();
    let row =
        |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned() + "\n";
    (0..height).map(row).collect()
}

/// What is on the screen, and what was.
struct Screen {
    sampler: Sampler,
    sample: Sample,
    rates: Vec<VecDeque<u64>>,
    order: Order,
    first: usize,
    device: String,
}

impl Screen {
    fn new() -> Result<Self> {
        let mut sampler = Sampler::new()?;
        let sample = sampler.take()?;
        let device = std::env::var(vinci_driver::VARIABLE).unwrap_or_default();
        let rates = vec![VecDeque::new(); sample.dies.len()];
        Ok(Self { sampler, sample, rates, order: Order::Memory, first: 0, device })
    }

    fn look(&mut self) -> Result<()> {
        self.sample = self.sampler.take()?;
        for (rates, die) in self.rates.iter_mut().zip(&self.sample.dies) {
            rates.push_back(die.tasks_per_s as u64);
            if rates.len() > MEMORY {
                rates.pop_front();
            }
        }
        Ok(())
    }

    fn draw(&self, frame: &mut Frame<'_>, help: &str) {
        View {
            sample: &self.sample,
            rates: &self.rates,
            order: self.order,
            first: self.first,
            device: &self.device,
            help,
        }
        .draw(frame);
    }
}

/// Shows it until the user has seen enough.
pub fn run(args: &Args) -> Result<()> {
    let mut screen = Screen::new().context("vinci top")?;
    let interval =
        Duration::try_from_secs_f64(args.interval).context("--interval")?.max(Duration::from_millis(50));
    if args.once || args.json || !stdout().is_terminal() {
        return print(args, &mut screen, interval);
    }
    let mut terminal = ratatui::try_init().context("the terminal cannot be used; try --once")?;
    let result = live(&mut terminal, &mut screen, interval);
    ratatui::restore();
    result
}

fn print(args: &Args, screen: &mut Screen, interval: Duration) -> Result<()> {
    loop {
        std::thread::sleep(if args.json && !args.once { interval } else { SHORT });
        screen.look()?;
        if args.json {
            println!("{}", serde_json::to_string(&screen.sample)?);
            if !args.once {
                continue;
            }
        } else {
            // Redirected, it is as wide as a terminal usually is, or as COLUMNS says.
            let columns = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
            let size = ratatui::crossterm::terminal::size().ok().map(|(width, _)| width);
            let width = columns.or(size).filter(|&w| w >= 40).unwrap_or(80);
            let (dies, processes) = (screen.sample.dies.len() as u16, screen.sample.processes.len() as u16);
            let text = text(width, dies + processes.min(1000) + 8, |frame| screen.draw(frame, ""));
            println!("{}", text.trim_end());
        }
        return Ok(());
    }
}

fn live(terminal: &mut ratatui::DefaultTerminal, screen: &mut Screen, mut interval: Duration) -> Result<()> {
    loop {
        screen.look().context("the device is gone")?;
        let next = Instant::now() + interval;
        loop {
            let help = format!("{HELP}  (every {:.1} s)", interval.as_secs_f64());
            terminal.draw(|frame| screen.draw(frame, &help))?;
            if !event::poll(next.saturating_duration_since(Instant::now()))? {
                break;
            }
            let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event::read()?
            else {
                continue;
            };
            match code {
                KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
                KeyCode::Char('s') => screen.order = screen.order.next(),
                KeyCode::Up => screen.first = screen.first.saturating_sub(1),
                KeyCode::Down => screen.first = (screen.first + 1).min(screen.sample.processes.len()),
                KeyCode::Char('+') => interval = (interval * 2).min(Duration::from_secs(60)),
                KeyCode::Char('-') => interval = (interval / 2).max(Duration::from_millis(100)),
                _ => {}
            }
        }
    }
}
