//! The peer of Rust: see `tests/languages/peers.py`.

use std::env;
use std::error::Error;
use std::io::{self, BufRead as _, PipeReader, Read as _, Write as _, pipe};
use std::sync::Arc;
use std::time::Duration;

use ipmb_binding::arrival::{Arrival, Takes, recv};
use ipmb_binding::failure::Failure;
use ipmb_binding::letter::{Body, Letter};
use ipmb_binding::requests::Requests;
use ipmb_binding::to::To;
use ipmb_binding::value::Value;
use ipmb_bus::label::Label;
use ipmb_bus::label_op::LabelOp;
use ipmb_bus::selector::{Selector, Ttl};
use ipmb_bus::{Endpoint, Options, join, wait};
use ipmb_transport::region::Region;
use ipmb_transport::sys::Fd;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));

struct Peer {
    endpoint: Endpoint,
    requests: Requests,
    pipe: Option<PipeReader>,
    region: Option<Region>,
}

fn payload(what: &str) -> Value {
    let text = |text: &str| Value::Str(text.to_owned());
    match what {
        "typed" => Value::Dict(vec![
            (text("name"), text("north")),
            (text("place"), Value::List(vec![Value::Float(1.5), Value::Int(2)])),
        ]),
        "large" => Value::BytesMessage(1, (0..3_000_000).map(|place| (place % 251) as u8).collect()),
        "reply" => Value::BytesMessage(514, (0..=255).collect()),
        _ => Value::BytesMessage(513, (0..=255).collect()),
    }
}

fn letter(to: To, what: &str) -> Result<Letter, Box<dyn Error>> {
    let (type_id, bytes) = payload(what).encode().map_err(|unfit| format!("{unfit:?}"))?;
    Ok(Letter::new(to, type_id, Body::copied(&[&bytes])?))
}

fn selector(label: &str, ttl: Ttl) -> Result<Arc<Selector>, Failure> {
    Ok(Arc::new(Selector::unicast(LabelOp::leaf(label)?).with_ttl(ttl)))
}

impl Peer {
    fn send(&mut self, what: &str, label: &str, ttl: Ttl) -> Result<usize, Box<dyn Error>> {
        let mut letter = letter(To::Selector(selector(label, ttl)?), what)?;
        if what == "object" {
            let (reader, writer) = pipe()?;
            self.pipe = Some(reader);
            letter.objects.push(Fd::adopt(writer.into()));
        }
        if what == "region" {
            let region = Region::create("peer", 4096)?;
            region.map(0, 1)?.write(0, &[7])?;
            letter.regions.push(region.clone());
            self.region = Some(region);
        }
        Ok(letter.send(&self.endpoint.sender(), wait::deadline(PATIENCE))?)
    }

    fn next(&self) -> Result<Arrival, Box<dyn Error>> {
        let sender = self.endpoint.sender();
        let came = recv(&self.endpoint.receiver(), Some(&sender), &Takes::all(), wait::deadline(PATIENCE))?;
        came.ok_or_else(|| "nothing came".into())
    }

    fn recv(&self, what: &str) -> Result<&'static str, Box<dyn Error>> {
        let Arrival { type_id, content, redelivered, objects, regions, .. } = self.next()?;
        if Value::decode(type_id, &content.into_bytes()?) != Some(payload(what)) {
            return Ok("wrong payload");
        }
        if (objects.len(), regions.len()) != (usize::from(what == "object"), usize::from(what == "region")) {
            return Ok("wrong attachments");
        }
        for object in objects {
            std::fs::File::from(object.into_owned()).write_all(b"x")?;
        }
        for region in regions {
            let mut first = [0];
            region.read(0, &mut first)?;
            if (region.size(), first) != (4096, [7]) {
                return Ok("wrong region");
            }
            region.map(1, 1)?.write(0, &[8])?;
        }
        Ok(if redelivered { "ok redelivered" } else { "ok" })
    }

    fn check(&mut self, what: &str) -> Result<&'static str, Box<dyn Error>> {
        if what == "region" {
            let mut bytes = [0; 2];
            self.region.as_ref().ok_or("no region was sent")?.read(0, &mut bytes)?;
            return Ok(if bytes == [7, 8] { "ok" } else { "wrong region" });
        }
        let mut got = Vec::new();
        self.pipe.take().ok_or("no pipe was sent")?.read_to_end(&mut got)?;
        Ok(if got == b"x" { "ok" } else { "wrong pipe" })
    }

    fn ask(&self, label: &str) -> Result<&'static str, Box<dyn Error>> {
        let question = letter(To::Asked(selector(label, Ttl::ZERO)?), "bytes")?;
        let reply = self.requests.request(&self.endpoint.sender(), question, wait::deadline(PATIENCE))?;
        let value = Value::decode(reply.type_id, &reply.content.into_bytes()?);
        Ok(if value == Some(payload("reply")) { "ok" } else { "wrong reply" })
    }

    fn answer(&self) -> Result<&'static str, Box<dyn Error>> {
        let Arrival { type_id, content, sender, request, .. } = self.next()?;
        let Some(request) = request else { return Ok("no request") };
        if Value::decode(type_id, &content.into_bytes()?) != Some(payload("bytes")) {
            return Ok("wrong request");
        }
        let mut reply = letter(To::Asker(sender.info.id), "reply")?;
        reply.correlation = Some((request.number().get(), false));
        reply.send(&self.endpoint.sender(), wait::deadline(PATIENCE))?;
        Ok("ok")
    }

    fn obey(&mut self, line: &str) -> Result<String, Box<dyn Error>> {
        let words: Vec<_> = line.split_whitespace().collect();
        let sent = |reached: usize, wanted: usize| {
            if reached == wanted { "sent".to_owned() } else { format!("sent to {reached}") }
        };
        Ok(match words[..] {
            ["send", what, label] => sent(self.send(what, label, Ttl::ZERO)?, 1),
            ["leave", label] => sent(self.send("bytes", label, Ttl::FOREVER)?, 0),
            ["recv", what] => self.recv(what)?.to_owned(),
            ["check", what] => self.check(what)?.to_owned(),
            ["ask", label] => self.ask(label)?.to_owned(),
            ["answer"] => self.answer()?.to_owned(),
            _ => format!("no command: {line}"),
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let [_, bus, label]: [String; 3] =
        env::args().collect::<Vec<_>>().try_into().map_err(|_| "give a bus and a label")?;
    let endpoint = join(Options::new(bus, Label::new([label])?), PATIENCE)?;
    let requests = Requests::new(&endpoint.sender())?;
    let mut peer = Peer { endpoint, requests, pipe: None, region: None };
    println!("ready");
    for line in io::stdin().lock().lines() {
        let said = peer.obey(&line?).unwrap_or_else(|error| error.to_string());
        println!("{said}");
    }
    Ok(())
}
