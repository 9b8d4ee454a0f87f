//! The log of this library: to stderr, warnings and worse unless `VINCI_LOG` (`debug`, `vinci_device=trace`, …) or
//! CANN's own `ASCEND_GLOBAL_LOG_LEVEL` (0 debug to 4 nothing) asks for something else.

use std::env;
use std::sync::Once;

/// What CANN's variable means to the log crate.
fn level_of_cann(level: &str) -> &'static str {
    match level.trim() {
        "0" => "debug",
        "1" => "info",
        "3" => "error",
        "4" => "off",
        _ => "warn",
    }
}

/// Starts the log; does nothing the second time.
#[inline]
pub fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let cann = env::var("ASCEND_GLOBAL_LOG_LEVEL").unwrap_or_default();
        let wanted = env_logger::Env::new().filter_or("VINCI_LOG", level_of_cann(&cann));
        // Nobody else can have set the logger that this library's own copy of the log crate uses.
        let _ = env_logger::Builder::from_env(wanted).format_timestamp(None).try_init();
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn cann_levels() {
        assert_eq!(
            ["0", "1", "2", "3", "4", ""].map(super::level_of_cann),
            ["debug", "info", "warn", "error", "off", "warn"]
        );
    }
}
