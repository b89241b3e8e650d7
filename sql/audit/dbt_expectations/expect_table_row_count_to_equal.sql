-- name: expect_table_row_count_to_equal
-- params: model (the tested relation), value (how many rows), row_condition (SQL; rows of which it is not
--         true are not looked at)
-- invariant: one row if there is another number of rows
select count(*) as found
from {{ model }}
where ({{ row_condition or 'true' }})
having count(*) <> {{ value }}
