package nexustest

import "net/http"

// These actions let the server answer as usual and change what it holds.

// CorruptStored inverts a byte of what the request has stored, as [Server.Corrupt]
// does, before the client can see the answer.
func CorruptStored(offset int64) Action {
	return afterwards(func(x *exchange) {
		if a := x.stored; a != nil {
			_ = x.s.Corrupt(a.repo, a.path, offset) // too short for the offset, or deleted since
		}
	})
}

// LoseStored makes the bytes vanish that the request has stored, as [Server.Lose]
// does.
func LoseStored() Action {
	return afterwards(func(x *exchange) {
		if x.stored != nil {
			x.stored.lost.Store(true)
		}
	})
}

// FreezeAfter answers the request and leaves the server read-only, until
// [Server.Freeze] says otherwise.
func FreezeAfter() Action { return afterwards(func(x *exchange) { x.s.Freeze(true) }) }

// HoldMetadata stops the metadata of the request's repository from being rebuilt
// ever again; the request itself is answered as usual.
func HoldMetadata() Action {
	return first(func(x *exchange) { x.s.HoldRebuilds(x.repo, true) })
}

// Plant stores a file of somebody else's in the request's repository before the
// request is answered.
func Plant(path string, data []byte) Action {
	return first(func(x *exchange) { _ = x.s.Put(x.repo, path, data) }) // the repository may have gone
}

// GatewayTimeout lets the server do its work and answers with a proxy's 504, as
// happens when the hashing of a large upload takes longer than the proxy waits.
func GatewayTimeout() Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&deafWriter{header: http.Header{}}, r)
			exchangeOf(w, r).proxyError(http.StatusGatewayTimeout, http.StatusText(http.StatusGatewayTimeout))
		})
	}
}

// first does something before the server answers.
func first(do func(*exchange)) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			do(exchangeOf(w, r))
			next.ServeHTTP(w, r)
		})
	}
}

// afterwards does something when the server has answered, while the end of the
// answer is still in net/http's buffer.
func afterwards(do func(*exchange)) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			do(exchangeOf(w, r))
		})
	}
}
