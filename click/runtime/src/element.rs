//! What an element is, and what a class of elements says about itself.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::any::Any;

use crate::args::Args;
use crate::context::Context;
use crate::handler::{Answer, Handler};
use crate::host::SocketEvent;
use crate::names::Kind;
use crate::packet::Batch;

/// When an element is configured, relative to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Gives names to things.
    Info,
    /// Other elements refer to it.
    Early,
    /// As most do.
    #[default]
    Normal,
    /// Refers to other elements.
    Late,
}

/// What the documentation of a class is made from.
#[derive(Clone, Copy, Debug)]
pub struct Documentation {
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Arguments: name and meaning.
    pub arguments: &'static [(&'static str, &'static str)],
    /// Handlers: name and meaning.
    pub handlers: &'static [(&'static str, &'static str)],
}

/// A class of elements.
pub struct Class {
    /// Name in configurations.
    pub name: &'static str,
    /// Numbers of inputs and outputs, such as `1/1-2`; `-` alone is any number, `=` as many
    /// as inputs.
    pub ports: &'static str,
    /// Whether ports push (`h`), pull (`l`) or do either (`a`), such as `a/ah`; the last
    /// letter holds for all further ports.
    pub processing: &'static str,
    /// Which outputs packets from which inputs may take, such as `x/x`; empty for all.
    pub flow: &'static str,
    /// Makes an element.
    pub make: fn() -> Box<dyn Element>,
    /// Documentation.
    pub documentation: Documentation,
}

/// What a search for notifiers does at an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// The element has a notifier for the port, and what lies behind it does not matter.
    Stop,
    /// The element has a notifier, and so may elements behind it.
    Continue,
}

/// An element. All methods have defaults that fit elements which do nothing of the kind.
#[expect(unused_variables, reason = "defaults ignore their arguments")]
pub trait Element: Any + Send {
    /// When to be configured.
    fn phase(&self) -> Phase {
        Phase::Normal
    }

    /// Takes the arguments; complains to them.
    fn configure(&mut self, args: &mut Args<'_>) {
        args.finish();
    }

    /// Names that the element defines for others: kind, name and value. Asked for after
    /// [`configure`](Self::configure).
    fn definitions(&mut self) -> Vec<(Kind, String, Vec<u8>)> {
        Vec::new()
    }

    /// Whether the element can take new arguments while it runs.
    fn can_reconfigure(&self) -> bool {
        false
    }

    /// Gets ready to run; complains to the context.
    fn initialize(&mut self, cx: &mut Context<'_>) {}

    /// Whether packets must reach the element one at a time and in the exact order in
    /// which Click would run tasks: it has effects beyond its own packets.
    fn is_exact(&self) -> bool {
        false
    }

    /// Changes packets on their way from input 0 to output 0. Packets taken out of the
    /// batch must be pushed elsewhere or killed.
    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {}

    /// Takes packets at a push input.
    fn push(&mut self, port: usize, mut batch: Batch, cx: &mut Context<'_>) {
        self.process(&mut batch, cx);
        cx.push(0, batch);
    }

    /// Gives up to `most` packets at a pull output.
    fn pull(&mut self, port: usize, most: usize, cx: &mut Context<'_>) -> Batch {
        let mut batch = cx.pull(0, most);
        self.process(&mut batch, cx);
        batch
    }

    /// The input that a pull at output `port` goes straight on to, for elements that only
    /// choose the way. Such an element may lie on the way twice.
    fn forward(&self, port: usize) -> Option<usize> {
        None
    }

    /// Does a piece of work. Says whether there was any; it runs again only if the
    /// element reschedules it.
    fn task(&mut self, cx: &mut Context<'_>) -> bool {
        false
    }

    /// One of the element's timers expired.
    fn timer(&mut self, number: u32, cx: &mut Context<'_>) {}

    /// Something happened at a socket that the element watches.
    fn socket(&mut self, event: SocketEvent, cx: &mut Context<'_>) {}

    /// A signal that the element watches arrived.
    fn signal(&mut self, signal: u32, cx: &mut Context<'_>) {}

    /// A notifier that the element listens to woke up.
    fn woken(&mut self, cx: &mut Context<'_>) {
        cx.reschedule();
    }

    /// Whether the element tells when packets are there (`full` false, for output `port`)
    /// or when there is room (`full` true, for input `port`).
    fn notifier(&self, full: bool, port: usize) -> Option<Notify> {
        None
    }

    /// Runs the next step of a driver script. Says whether the router should go on.
    fn driver_step(&mut self, cx: &mut Context<'_>) -> bool {
        false
    }

    /// Whether the element is the router's driver script.
    fn is_driver(&self) -> bool {
        false
    }

    /// The handlers besides those that every element has.
    fn handlers(&self) -> Vec<Handler> {
        Vec::new()
    }

    /// Reads a handler.
    fn read(&mut self, handler: &str, parameter: &str, cx: &mut Context<'_>) -> Answer {
        Err("unknown handler".into())
    }

    /// Writes a handler. Bad values leave the old state.
    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        Err("unknown handler".into())
    }

    /// Takes over the state of the element of the same name and class in the router that
    /// this one replaces.
    fn take_state(&mut self, old: &mut dyn Element, cx: &mut Context<'_>) {}

    /// Takes back files and the like when the router ends.
    fn cleanup(&mut self, cx: &mut Context<'_>) {}
}

/// The element as its own type, if it is of that type.
pub fn downcast<T: Element>(element: &mut dyn Element) -> Option<&mut T> {
    let any: &mut dyn Any = element;
    any.downcast_mut()
}
