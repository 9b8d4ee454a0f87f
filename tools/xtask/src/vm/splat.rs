//! What the kernel complains about: finds the reports of its checks in the console's log.

/// How a report begins, anywhere in a line.
const BEGINNINGS: &[&str] = &[
    "BUG:",
    "BUG at",
    "WARNING:",
    "KASAN:",
    "UBSAN:",
    "Oops:",
    "INFO: possible",
    "INFO: task",
    "INFO: trying to register non-static key",
    "INFO: rcu",
    "Kernel panic",
    "general protection fault",
    "unreferenced object",
    "panicked at",
    "refcount_t:",
    "list_add corruption",
    "list_del corruption",
    "DMA-API:",
    "ODEBUG:",
    "soft lockup",
    "scheduling while atomic",
    "bad unlock balance",
    "Segmentation fault",
];

/// What looks like a report and is none.
const HARMLESS: &[&str] = &[
    // The checks say at boot that they are there.
    "DMA-API: preallocated",
    "DMA-API: debugging enabled",
    "DMA-API: debugging disabled",
    // An injected failure (vm/fail, the last program for that reason) hit the check's own memory.
    "DMA-API: cacheline tracking ENOMEM",
    "ODEBUG: selftest",
    "** NOTICE",
];

/// How many lines of a report are shown.
const SHOWN: usize = 40;

/// The reports in `console`, each with the lines after it. Those of one event are one report.
pub fn reports(console: &str) -> Vec<String> {
    let lines: Vec<_> = console.lines().map(|line| line.trim_end_matches('\r')).collect();
    let begins = |line: &str| {
        BEGINNINGS.iter().any(|b| line.contains(b)) && !HARMLESS.iter().any(|h| line.contains(h))
    };
    let mut found = Vec::new();
    let mut i = 0;
    while i < lines.len() {
        if !begins(lines[i]) {
            i += 1;
            continue;
        }
        let end = (i + SHOWN).min(lines.len());
        let end = (i + 1..end).find(|&k| closes(lines[k])).map_or(end, |k| k + 1);
        found.push(lines[i..end].join("\n"));
        i = end;
    }
    found
}

/// Whether a report ends with this line.
fn closes(line: &str) -> bool {
    ["---[ end", "</TASK>", "=====", "Rebooting in", "Kernel Offset:"].iter().any(|end| line.contains(end))
}

#[cfg(test)]
mod tests {
    use super::reports;

    #[test]
    fn a_quiet_console_has_none() {
        let quiet = "[    0.1] Linux version 7.3.4\r\n[    0.2] DMA-API: preallocated 65536 debug entries\r\n\
                     [    0.3] vinci 0000:00:01.0: Ascend 910C\r\n";
        assert!(reports(quiet).is_empty());
    }

    #[test]
    fn each_event_is_one_report() {
        let console = "[ 1.0] fine\n\
                       [ 1.1] BUG: KASAN: slab-use-after-free in vinci_close+0x12/0x40\n\
                       [ 1.1] Write of size 8\n\
                       [ 1.2]  </TASK>\n\
                       [ 1.3] fine\n\
                       [ 1.4] WARNING: possible circular locking dependency detected\n\
                       [ 1.4] a\n";
        let found = reports(console);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("Write of size 8") && !found[0].contains("1.3"));
        assert!(found[1].contains("circular"));
    }
}
