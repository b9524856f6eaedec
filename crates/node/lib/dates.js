"use strict";
/** Points in time, as text in ISO 8601: what Python's `isoformat` writes. */
Object.defineProperty(exports, "__esModule", { value: true });
exports.writeDate = writeDate;
exports.readDate = readDate;
const arguments_1 = require("./arguments");
/** A point in time as Python writes it. */
function writeDate(date) {
    const time = date.getTime();
    if (Number.isNaN(time))
        throw new arguments_1.Refusal('an invalid Date: give a valid one', RangeError);
    const year = date.getUTCFullYear();
    if (year < 1 || year > 9999)
        throw new arguments_1.Refusal(`a Date in the year ${year}: give one from 1 to 9999`, RangeError);
    const iso = date.toISOString().slice(0, -1);
    return `${iso.endsWith('.000') ? iso.slice(0, -4) : `${iso}000`}+00:00`;
}
const DATE = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{3,6}))?)?(Z|[+-]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?$/;
/** A point in time as Python writes it; without an offset it is local. JavaScript keeps milliseconds. */
function readDate(text) {
    const found = DATE.exec(text);
    if (!found)
        throw new RangeError('its text is no time in ISO 8601');
    const [, year, month, day, hour, minute, second = '0', fraction = '', zone] = found;
    const [y, mo, d, h, mi, s] = [year, month, day, hour, minute, second].map(Number);
    const ms = Number(fraction.padEnd(3, '0').slice(0, 3));
    const date = new Date(0);
    if (zone === undefined) {
        date.setFullYear(y, mo - 1, d);
        date.setHours(h, mi, s, ms);
    }
    else {
        date.setUTCFullYear(y, mo - 1, d);
        date.setUTCHours(h, mi, s, ms);
    }
    const days = new Date(0);
    days.setUTCFullYear(y, mo, 0);
    if (y < 1 || mo < 1 || mo > 12 || d < 1 || d > days.getUTCDate() || h > 23 || mi > 59 || s > 59) {
        throw new RangeError('its text is no time of any calendar');
    }
    if (zone === undefined || zone === 'Z')
        return date;
    const [hours = 0, minutes = 0, seconds = 0] = zone.slice(1).split(':').map(Number);
    if (hours > 23 || minutes > 59 || seconds >= 60)
        throw new RangeError('its offset from UTC is none');
    const offset = Math.trunc(((hours * 60 + minutes) * 60 + seconds) * 1000) * (zone.startsWith('-') ? -1 : 1);
    return new Date(date.getTime() - offset);
}
