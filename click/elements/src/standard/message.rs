//! Message: prints a message when it is configured.

use alloc::boxed::Box;
use alloc::string::String;

use click_runtime::Args;
use click_runtime::Class;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Phase;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Message",
    ports: "0/0",
    processing: "a",
    flow: "",
    make: || Box::<Message>::default(),
    documentation: Documentation {
        summary: "Prints a message when it is configured.",
        arguments: &[("MESSAGE", "the text"), ("TYPE", "`MESSAGE`, `WARNING` or `ERROR`")],
        handlers: &[],
    },
};

#[derive(Default)]
struct Message;

impl Element for Message {
    fn phase(&self) -> Phase {
        Phase::Info
    }

    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut message, mut kind) = (String::new(), String::new());
        args.required("MESSAGE", &mut message);
        args.positional("TYPE", &mut kind);
        args.finish();
        match kind.as_str() {
            "" | "MESSAGE" => args.message(&message),
            "WARNING" => args.warning(&message),
            "ERROR" => args.error(&message),
            _ => args.error("unrecognized TYPE"),
        }
    }
}
