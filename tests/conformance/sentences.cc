// The sentences of docs/contract.md that a backend can break. §10 and those that bind only the engine are not
// here: the engine's own tests prove them.
#include "holdfast/conformance.h"

namespace holdfast::conformance {

std::vector<Sentence> sentences() {
  return {
      {"1.1", "databases have names of 1 to 200 bytes, compared as bytes"},
      {"1.2", "keys and values are bytes; keys compare as unsigned bytes, a proper prefix first"},
      {"1.3", "at most one stored entry per key, and nothing for an erased key"},
      {"1.4", "without a commit there is no head, and reads create nothing"},
      {"1.5", "the history is random, not zero, and stays as long as nothing acknowledged is lost"},
      {"1.6", "seqs are 1, 2, 3 without gaps; a version is the seq that put the entry"},
      {"1.7", "a position names a state of the database"},
      {"1.8", "the change log has the changed keys of every commit above the floor"},
      {"1.9", "the time of an operation is the later of now and the newest commit's; clock skew is refused"},
      {"1.10", "an entry is live before its expiry and stays stored after it"},
      {"2.1", "a read is one snapshot"},
      {"2.2", "reads are linearizable"},
      {"2.3", "gets and scans give the live entries, in order, and say whether there is more"},
      {"2.4", "an answer has at most 8 MiB, but at least one entry"},
      {"2.5", "checks of a read are judged on its snapshot, without a trace"},
      {"2.6", "a read of another history is refused"},
      {"3.1", "batches and groups up to the limits work"},
      {"3.2", "sessions are independent of each other"},
      {"3.3", "of two blind puts of one key in a group the later stays"},
      {"3.4a", "a group is applied once, whatever is sent again or late"},
      {"3.4b", "a group of another history is refused; one without a history creates the head"},
      {"3.4c", "the fence of a group is judged after its history"},
      {"3.4d", "the time of a group is judged after its fence"},
      {"3.4e", "checks are judged on the newest state, atomically with the writes"},
      {"3.4f", "batches whose checks hold apply in order with consecutive seqs, the others not at all"},
      {"3.4g", "head, change log and session change together with the entries"},
      {"3.5", "acknowledged commits are as durable as the traits say"},
      {"3.6", "groups of one call stand or fall alone"},
      {"3.7", "a group that was refused is never applied"},
      {"3.8", "sessions are kept for 7 days and up to 10,000"},
      {"4.1", "absent holds iff there is no live entry"},
      {"4.2", "version holds iff the live entry has it"},
      {"4.3", "unchanged holds iff nothing in the range was changed or has expired since"},
      {"5.1", "put stores key, value, version and expiry"},
      {"5.2", "put_stamped puts the seq into the key"},
      {"5.3", "erase removes the stored entry"},
      {"5.4", "reap removes what has expired and nothing else"},
      {"5.5", "what is put replaces the whole entry, even if it has expired already"},
      {"6.1", "changes since another history, the future or below the floor are refused"},
      {"6.2", "a page of changes has the newest change of each key, whole commits, and says how far it goes"},
      {"6.3", "a copy that has caught up equals the source"},
      {"6.4", "compaction raises the floor and frees the log"},
      {"7.1", "a fence lets through what its state says"},
      {"7.2", "fences are compared and set, along the allowed transitions"},
      {"7.3", "a move keeps entries, versions and positions"},
      {"8.1", "databases are listed by name, from their first commit until they are dropped"},
      {"8.2", "a dropped database reads as never written, and comes back with another history"},
      {"8.3", "expired entries of the whole store are listed, oldest first"},
      {"8.4", "wait returns when a database has moved on, and loses no wake-up"},
      {"9.1", "traits are fixed"},
      {"9.2", "the lane of a database is fixed, and lanes are independent"},
      {"11.1", "errors have their code and class, and no keys or values"},
  };
}

}  // namespace holdfast::conformance
