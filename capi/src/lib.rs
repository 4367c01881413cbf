//! The C interface: what a till that is written in C, C++ or C# links. Its header is `include/bitacora.h`.
//!
//! Every function has the same shape. It answers with a [`code::Code`]; what it gives back goes through out-parameters, which
//! are set only where it succeeds, unless it says otherwise. What went wrong is told in words by `bitacora_error_text`. No panic
//! crosses the border: [`code::guarded`] stands around each function. Null pointers are refused where a value is needed.
//!
//! The commands on wallets and payments are the command line's own: its source is part of this library, so that both
//! understand and answer the same JSON.

pub mod code;
pub mod events;
pub mod store;
pub mod values;
pub mod wallets;

#[path = "../../src/bin/bitacora/exit.rs"]
#[allow(dead_code, reason = "exit codes are the command line's")]
mod exit;
#[path = "../../src/bin/bitacora/render.rs"]
#[allow(dead_code, reason = "whole events are printed by the command line alone")]
mod render;

mod till;
mod verbs;
