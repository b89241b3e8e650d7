-- The orders that count.
WHERE amuont > 0
