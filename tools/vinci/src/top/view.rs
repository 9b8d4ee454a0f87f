//! How a sample looks, in as many columns as there are.

use std::collections::VecDeque;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Row, Sparkline, Table};

use super::sample::{Die, Process, Sample};

/// From here on there is room for more columns.
const WIDE: u16 = 120;
/// Moments that are remembered for the graphs.
pub const MEMORY: usize = 400;

/// What a user has chosen to see first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Most memory first.
    Memory,
    /// Most queues first.
    Queues,
    /// By number.
    Pid,
    /// By name.
    Name,
}

impl Order {
    /// The one after it.
    pub fn next(self) -> Self {
        match self {
            Self::Memory => Self::Queues,
            Self::Queues => Self::Pid,
            Self::Pid => Self::Name,
            Self::Name => Self::Memory,
        }
    }

    fn sort(self, processes: &mut [&Process]) {
        use std::cmp::Reverse;
        match self {
            Self::Memory => processes.sort_by_key(|p| (Reverse(p.memory()), p.pid)),
            Self::Queues => processes.sort_by_key(|p| (Reverse(p.queues), p.pid)),
            Self::Pid => processes.sort_by_key(|p| p.pid),
            Self::Name => processes.sort_by(|a, b| (&a.name, a.pid).cmp(&(&b.name, b.pid))),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Queues => "queues",
            Self::Pid => "pid",
            Self::Name => "name",
        }
    }
}

/// All that is drawn.
pub struct View<'a> {
    /// Now.
    pub sample: &'a Sample,
    /// Tasks per second of each die, the newest last.
    pub rates: &'a [VecDeque<u64>],
    /// Of the processes.
    pub order: Order,
    /// The first process that is shown.
    pub first: usize,
    /// Where the device is.
    pub device: &'a str,
    /// What the last line says.
    pub help: &'a str,
}

/// `width` cells of which a share is filled.
fn bar(share: f64, width: usize) -> String {
    let filled = (share.clamp(0.0, 1.0) * width as f64).round() as usize;
    "█".repeat(filled) + &"░".repeat(width - filled)
}

fn load(share: f64) -> Style {
    Style::new().fg(match share {
        s if s > 0.9 => Color::Red,
        s if s > 0.6 => Color::Yellow,
        _ => Color::Green,
    })
}

/// Bytes, in the largest unit that leaves at least a one before the point.
pub fn bytes(n: u64) -> String {
    match n {
        n if n < 1 << 20 => format!("{} KiB", n >> 10),
        n if n < 10 << 30 => format!("{} MiB", n >> 20),
        n => format!("{:.1} GiB", n as f64 / f64::from(1 << 30)),
    }
}

/// A number in at most six characters.
pub fn short(n: f64) -> String {
    match n {
        n if n < 1e3 => format!("{n:.0}"),
        n if n < 1e6 => format!("{:.1}k", n / 1e3),
        n if n < 1e9 => format!("{:.1}M", n / 1e6),
        n => format!("{:.1}G", n / 1e9),
    }
}

/// A bar and a percentage.
fn gauge(share: f32, width: usize) -> Line<'static> {
    let share = f64::from(share);
    Line::from(vec![
        Span::styled(bar(share, width), load(share)),
        Span::raw(format!(" {:>3.0}%", share * 100.0)),
    ])
}

impl View<'_> {
    /// Draws it.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let dies = self.sample.dies.len() as u16 + 3;
        let graphs = if area.height >= dies + 20 { 6 } else { 0 };
        let [title, top, middle, bottom, help] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(dies),
            Constraint::Length(graphs),
            Constraint::Min(3),
            Constraint::Length(1),
        ])
        .areas(area);
        self.title(frame, title);
        self.dies(frame, top);
        if graphs != 0 {
            self.graphs(frame, middle);
        }
        self.processes(frame, bottom);
        frame.render_widget(Paragraph::new(self.help).style(Style::new().fg(Color::DarkGray)), help);
    }

    fn title(&self, frame: &mut Frame<'_>, area: Rect) {
        let s = self.sample;
        let text = Line::from(vec![
            Span::styled("vinci top", Style::new().add_modifier(Modifier::BOLD)),
            Span::raw(format!("  {}, {} home", s.module, s.home)),
            Span::styled(format!("  {}", self.device), Style::new().fg(Color::DarkGray)),
        ]);
        frame.render_widget(Paragraph::new(text), area);
    }

    fn dies(&self, frame: &mut Frame<'_>, area: Rect) {
        let wide = area.width >= WIDE;
        let cells = if wide { 18 } else { 6 };
        let row = |d: &Die| {
            let share = d.hbm_used as f64 / d.hbm_total.max(1) as f64;
            let memory = Line::from(vec![
                Span::styled(bar(share, cells), load(share)),
                Span::raw(format!(" {}", bytes(d.hbm_used))),
            ]);
            let health = if d.health == "OK" { Style::new() } else { Style::new().fg(Color::Red) };
            let mut row = vec![
                Line::styled(d.device.to_string(), health),
                gauge(d.aic_util, cells),
                gauge(d.aiv_util, cells),
                gauge(d.hbm_util, cells),
                memory,
                Line::from(format!("{:.0}°C", d.temperature_c)),
                Line::from(format!("{:.0}W", d.power_w)),
                Line::from(short(d.tasks_per_s)),
            ];
            if wide {
                row.push(Line::from(format!("{} MHz", d.clock_mhz)));
                row.push(Line::from(format!("{} / {}", d.ecc.0, d.ecc.1)));
                row.push(Line::styled(d.health.clone(), health));
            }
            Row::new(row)
        };
        let gauge_width = cells as u16 + 5;
        let mut widths = vec![
            Constraint::Length(3),
            Constraint::Length(gauge_width),
            Constraint::Length(gauge_width),
            Constraint::Length(gauge_width),
            Constraint::Min(cells as u16 + 9),
            Constraint::Length(5),
            Constraint::Length(4),
            Constraint::Length(7),
        ];
        let mut header = vec!["die", "cube", "vector", "bandwidth", "HBM used", "temp", "pwr", "tasks/s"];
        if wide {
            widths.extend([Constraint::Length(9), Constraint::Length(9), Constraint::Length(9)]);
            header.extend(["clock", "ECC 1 / 2", "health"]);
        }
        let header = Row::new(header).style(Style::new().add_modifier(Modifier::BOLD));
        let total = self.sample.dies.first().map_or(0, |d| d.hbm_total);
        let title = format!(" {} dies of {} ", self.sample.dies.len(), bytes(total));
        let table = Table::new(self.sample.dies.iter().map(row), widths)
            .header(header)
            .column_spacing(1)
            .block(Block::bordered().title(title));
        frame.render_widget(table, area);
    }

    /// Tasks per second over time, the dies side by side.
    fn graphs(&self, frame: &mut Frame<'_>, area: Rect) {
        let columns = Layout::horizontal(vec![Constraint::Fill(1); self.rates.len().max(1)]).split(area);
        for (die, (rates, &area)) in self.rates.iter().zip(columns.iter()).enumerate() {
            let room = usize::from(area.width.saturating_sub(2));
            let shown: Vec<u64> = rates.iter().skip(rates.len().saturating_sub(room)).copied().collect();
            let most = shown.iter().copied().max().unwrap_or(0);
            let title = format!(" die {die}: tasks/s, at most {} ", short(most as f64));
            let line = Sparkline::default()
                .block(Block::bordered().title(title))
                .data(&shown)
                .style(Style::new().fg(Color::Cyan));
            frame.render_widget(line, area);
        }
    }

    fn processes(&self, frame: &mut Frame<'_>, area: Rect) {
        let mut all: Vec<_> = self.sample.processes.iter().collect();
        self.order.sort(&mut all);
        let dies = self.sample.dies.len();
        let of_each = dies <= 2 || area.width >= WIDE;
        let row = |p: &&Process| {
            let names: Vec<_> = p.dies.iter().map(u32::to_string).collect();
            let mut row = vec![p.pid.to_string(), names.join(","), p.queues.to_string(), bytes(p.memory())];
            if of_each {
                row.extend(p.hbm.iter().map(|&n| bytes(n)));
            }
            row.push(p.name.clone());
            Row::new(row)
        };
        let mut header = vec!["pid".to_owned(), "dies".into(), "queues".into(), "HBM".into()];
        let mut widths =
            vec![Constraint::Length(8), Constraint::Length(5), Constraint::Length(6), Constraint::Length(10)];
        if of_each {
            header.extend((0..dies).map(|die| format!("die {die}")));
            widths.extend(vec![Constraint::Length(10); dies]);
        }
        header.push("command".into());
        widths.push(Constraint::Min(8));
        let room = usize::from(area.height.saturating_sub(3)).max(1);
        let first = self.first.min(all.len().saturating_sub(room));
        let shown = &all[first..all.len().min(first + room)];
        let hidden = match all.len() - shown.len() {
            0 => String::new(),
            n => format!(", {n} not shown"),
        };
        let title = format!(
            " {} processes, {} queues, by {}{hidden} ",
            all.len(),
            self.sample.queues,
            self.order.word()
        );
        let table = Table::new(shown.iter().map(row), widths)
            .header(Row::new(header).style(Style::new().add_modifier(Modifier::BOLD)))
            .block(Block::bordered().title(title));
        frame.render_widget(table, area);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::text;

    fn sample(processes: u32) -> Sample {
        let die = |device| Die {
            device,
            health: "OK".into(),
            aic_util: 1.0,
            aiv_util: 0.07,
            hbm_util: 0.5,
            hbm_used: 50 << 30,
            hbm_total: 64 << 30,
            temperature_c: 104.4,
            power_w: 310.0,
            clock_mhz: 1800,
            ecc: (12, 0),
            tasks: 1 << 40,
            tasks_per_s: 12_345_678.0,
        };
        let process = |n| Process {
            pid: 4_194_000 + n,
            name: format!("python{n}"),
            hbm: vec![(20 << 30) + u64::from(n), 512 << 20],
            queues: n,
            dies: vec![0, 1],
        };
        let processes: Vec<_> = (0..processes).map(process).collect();
        let queues = processes.iter().map(|p| p.queues).sum();
        Sample {
            module: "Ascend910C".into(),
            home: "served".into(),
            dies: vec![die(0), die(1)],
            processes,
            queues,
        }
    }

    fn drawn(width: u16, height: u16, processes: u32, first: usize) -> String {
        let rates = vec![VecDeque::from([1, 5, 9]); 2];
        let sample = sample(processes);
        let (order, device, help) = (Order::Memory, "unix:/run/npu.sock", "q quits");
        text(width, height, |frame| {
            View { sample: &sample, rates: &rates, order, first, device, help }.draw(frame);
        })
    }

    #[test]
    fn nothing_is_cut_at_80_columns_nor_at_200() {
        for (width, more) in [(80, false), (200, true)] {
            let s = drawn(width, 30, 3, 0);
            let all = [
                "Ascend910C, served home",
                "unix:/run/npu.sock",
                "100%",
                "  7%",
                "50.0 GiB",
                "104°C",
                "310W",
                "12.3M",
                "tasks/s",
                "3 processes, 3 queues",
                "4194002",
                "0,1",
                "20.5 GiB",
                "512 MiB",
                "python2",
                "q quits",
                "die 1: tasks/s, at most 9",
            ];
            for wanted in all {
                assert!(s.contains(wanted), "{wanted} is missing at {width} columns:\n{s}");
            }
            assert_eq!(s.contains("12 / 0"), more, "{s}");
            assert!(s.lines().all(|line| line.chars().count() <= usize::from(width)));
        }
    }

    #[test]
    fn a_long_list_is_scrolled() {
        let s = drawn(80, 20, 100, 0);
        assert!(s.contains("100 processes") && s.contains("not shown") && s.contains("python99"), "{s}");
        let s = drawn(80, 20, 100, 1000);
        assert!(s.contains("python0") && !s.contains("python99 "), "the last ones:\n{s}");
        drawn(10, 3, 100, 0);
        drawn(1, 1, 0, 0);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!((short(999.0), short(1500.0), short(2e9)), ("999".into(), "1.5k".into(), "2.0G".into()));
        assert_eq!(
            (bytes(4096), bytes(9 << 30), bytes(64 << 30)),
            ("4 KiB".into(), "9216 MiB".into(), "64.0 GiB".into())
        );
    }
}
