-- name: copy
-- params: the rows in text format follow
-- invariant: columns in the order of {columns}
COPY pg_temp.{stage} ({columns}) FROM STDIN
