-- name: expect_table_row_count_to_equal_other_table
-- params: model (the tested relation), compare_model (another relation), row_condition (SQL; rows of which
--         it is not true are not looked at), compare_row_condition (the same for the other)
-- invariant: one row if the other relation has another number of rows
select ours.n as rows_here, theirs.n as rows_there
from (select count(*) as n from {{ model }} where ({{ row_condition or 'true' }})) as ours
cross join (select count(*) as n from {{ compare_model }} where ({{ compare_row_condition or 'true' }})) as theirs
where ours.n <> theirs.n
