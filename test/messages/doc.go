// Package messages tests what both programs say, as an operator and whoever gets their
// output meets them: the programs run as processes, against servers that repeat in their
// answers whatever they are asked, and every byte that they print or write is searched for
// the logins, tokens and keys that they were given; and for each kind of fault the message
// names artifact, digest, place, cause and the next step, in text and in JSON alike, the
// same in any order of events.
//
// AIRBUNDLE_FAULTS=full lets every storm of errors run to its end.
package messages
