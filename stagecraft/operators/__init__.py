"""Operations on arrays that are no decision: interpolation, expectations, envelopes, roots, lotteries."""
