/* How large the tables of entropy decoders can become. Emitted projects have a file of their own for what
 * their streams need, so that a decoder takes no more memory than that. */
#ifndef SMG_LIMITS_H
#define SMG_LIMITS_H

#define SMG_TOKENS_MAX 4096
#define SMG_CONTEXT_ROW_MAX 4096
#define SMG_RANS_SLOTS 1 /* 1: a table of 24 KiB instead of a search for every symbol */

#endif
