WHERE amount > 0
