// Short names for what the document describes.
import type { components } from './gen.ts';

type Schemas = components['schemas'];
export type Certificate = Schemas['Certificate'];
export type Device = Schemas['Device'];
export type Invite = Schemas['Invite'];
export type Pairing = Schemas['Pairing'];
export type Session = Schemas['Session'];
export type Tile = Schemas['Tile'];
export type User = Schemas['User'];
