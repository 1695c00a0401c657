// Package rank answers, for one conversation, who should take it: it filters
// the agents of the floor, values those who are left, and explains the order
// from the very numbers that made it.
//
// A [Table] holds the agents and their loads in arrays; [Table.Rank] fills a
// [Result] for a [Query]. Everything is pure: no clock, no randomness, and the
// same table and query give the same bytes on every machine. Scores are sums of
// [usher.Micro] terms, each rounded once, and every product that enters a
// rounding is converted explicitly, so that no build fuses it with an addition.
//
// # Filters
//
// The hard filters are applied in one fixed order, and an agent is counted
// against the first one that he fails:
//
//	presence  he is online
//	pinned    he is the one agent asked for (only when Query.Only is set)
//	channel   he declared this channel, or none at all; a cap of 0 on it refuses it
//	language  level 3 or more in the customer's language, when it is certain
//	team      he is of the team asked for
//	skill     he has every required skill at its level
//	senior    he has a wanted skill at level 4 or more (only when Query.SeniorOnly)
//	excluded  he has not declined this conversation nor let its offer expire
//	capacity  his units, and his cap on this channel, leave room
//
// Presence is first and capacity last so that the counts read as reasons: none
// left after presence means nobody is online; some left before capacity and
// none after it means that all who suit are full.
//
// # Value
//
// The score is in value units, 1 for one ordinary conversation resolved at first
// contact:
//
//	fit         v·q, q = Σ pᵢ·qᵢ over the whole distribution of intents
//	load        −0.3·rho², rho = (used + this conversation) / units
//	stickiness  the last agent, the holder of an open matter, the dedicated agent
//	language    he may not understand the customer, when that is no hard filter
//	generalist  he has no skills, and a generalist is asked for
//	prefer      the share of the preferred skills that he has
//	idle        idle time, a tie-breaker
//	slowness    slow first replies, a tie-breaker
//	declined    he declined this conversation before, and is asked again
//
// qᵢ is the probability that the agent resolves a conversation of intent i
// without a transfer: the prior of his level in a skill that serves i (see
// [Prior]), moved on the logit scale by .8·clip(z, ±2), where z is the
// standardised cosine between the conversation and his profile. Without a
// vector on either side the prior stands. [Weights] holds every coefficient.
//
// # Two stages
//
// The quality at z = 2 bounds the quality from above and is a table row times
// the intents. The cosine is computed only for those whose bound reaches the
// last place of the ranking. The order is exactly that of scoring everybody.
package rank
