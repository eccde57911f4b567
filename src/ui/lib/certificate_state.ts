// How a certificate stands, in words.
import type { Certificate } from '../api/types.ts';
import type { Said } from './device_state.ts';
import { nowSeconds } from './time.ts';

export function certificateState(it: Certificate): Said {
	const expired = it.not_after !== null && it.not_after <= nowSeconds();
	if (expired && it.failure)
		return { tone: 'bad', words: 'Expired, and could not be renewed' };
	if (expired)
		return { tone: 'bad', words: 'Expired' };
	if (it.failure && it.valid)
		return { tone: 'bad', words: 'Trusted, but renewal failed' };
	if (it.failure)
		return { tone: 'bad', words: 'Could not be obtained' };
	if (it.valid && it.state === 'ordered')
		return { tone: 'busy', words: 'Trusted, being renewed' };
	if (it.valid)
		return { tone: 'good', words: 'Trusted' };
	return { tone: 'busy', words: it.state === 'ordered' ? 'Being obtained' : 'Waiting its turn' };
}
