//! NeighborhoodTest: lists the elements around it.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use click_runtime::Answer;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "NeighborhoodTest",
    ports: "-/-",
    processing: "a/a",
    flow: "",
    make: || Box::<NeighborhoodTest>::default(),
    documentation: Documentation {
        summary: "Lists the elements around it.",
        arguments: &[],
        handlers: &[
            ("upstream", "elements that lead to it, as many steps away as the parameter says"),
            ("downstream", "elements that it leads to"),
        ],
    },
};

#[derive(Default)]
struct NeighborhoodTest;

impl Element for NeighborhoodTest {
    fn handlers(&self) -> Vec<Handler> {
        let mut list = vec![Handler::query("upstream"), Handler::query("downstream")];
        for port in 0..16 {
            list.push(Handler::query("").named(format!("upstream{port}")));
            list.push(Handler::query("").named(format!("downstream{port}")));
        }
        list
    }

    fn read(&mut self, handler: &str, parameter: &str, cx: &mut Context<'_>) -> Answer {
        let depth = if parameter.is_empty() { 1 } else { common::value(parameter, cx)? };
        let upstream = handler.starts_with("upstream");
        let port = handler.trim_start_matches(char::is_alphabetic).parse().ok();
        let found = cx.router().neighbours(cx.id(), port, upstream, depth);
        Ok(found.into_iter().map(|element| format!("{}\n", cx.router().name(element))).collect())
    }
}
