// Moments for people. The API's moments are Unix seconds, null where there was none.
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const date = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'long' });
const dateWithYear = new Intl.DateTimeFormat('en-GB',
	{ day: 'numeric', month: 'long', year: 'numeric' });

export function nowSeconds(): number {
	return Date.now() / 1000;
}

function dayOf(at: number): string {
	return new Date(at * 1000).toDateString();
}

function dateWords(at: number, now: number): string {
	const there = new Date(at * 1000);
	const sameYear = there.getFullYear() === new Date(now * 1000).getFullYear();
	return (sameYear ? date : dateWithYear).format(there);
}

// "14:32", "yesterday at 14:32", "3 March at 14:32"
export function moment(at: number, now = nowSeconds()): string {
	const time = clock.format(new Date(at * 1000));
	if (dayOf(at) === dayOf(now))
		return time;
	if (dayOf(at) === dayOf(now - DAY))
		return `yesterday at ${time}`;
	if (dayOf(at) === dayOf(now + DAY))
		return `tomorrow at ${time}`;
	return `${dateWords(at, now)} at ${time}`;
}

// "3 March 2027": for dates where the hour does not matter.
export function day(at: number, now = nowSeconds()): string {
	return dateWords(at, now);
}

// "in 4 minutes", "2 hours ago", "just now"
export function away(at: number, now = nowSeconds()): string {
	const seconds = at - now;
	const size = Math.abs(seconds);
	if (size < 45)
		return seconds > 0 ? 'in a moment' : 'just now';
	if (size < 55 * MINUTE)
		return relative.format(Math.round(seconds / MINUTE), 'minute');
	if (size < 22 * HOUR)
		return relative.format(Math.round(seconds / HOUR), 'hour');
	return relative.format(Math.round(seconds / DAY), 'day');
}

// Whole days that lie between now and then, never below 0.
export function daysUntil(at: number, now = nowSeconds()): number {
	return Math.max(0, Math.floor((at - now) / DAY));
}

// Milliseconds until words about `at` change, for a timer.
export function nextChange(at: number, now = nowSeconds()): number {
	return Math.abs(at - now) < HOUR ? 20_000 : 5 * 60_000;
}
