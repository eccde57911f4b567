// How a person stands, in words.
import type { User } from '../api/types.ts';
import { away, nowSeconds } from './time.ts';
import { count } from './words.ts';

function invited(user: User): string {
	const until = user.invite_expires;
	return until !== null && until > nowSeconds() ? 'Invited, has not come yet'
		: 'Has no password: needs a new link';
}

export function personState(user: User): string {
	if (user.disabled)
		return 'May not sign in';
	if (!user.has_password)
		return invited(user);
	const may = user.admin ? 'Looks after this home' : `May open ${count(user.devices.length, 'device')}`;
	return user.last_seen === null ? `${may}, not signed in`
		: `${may}, last here ${away(user.last_seen)}`;
}
