-- name: expect_column_to_exist
-- params: model (the tested relation), column_name (an expression over its columns)
-- invariant: no row; that there is no such column is found when the statement is bound
select {{ column_name }} as existing
from {{ model }}
where false
