select no_such_column from {{ ref('from_rows') }}
