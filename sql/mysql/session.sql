-- name: session
-- params: {seconds} longest time for a statement and for a lock
-- invariant: nothing is cut off or replaced in silence, times are in UTC, zero is a value and not "the next number"
SET NAMES utf8mb4, time_zone = '+00:00', innodb_lock_wait_timeout = {seconds},
    sql_mode = CONCAT('STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,',
                      'NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO' /*M!100401 , ',TIME_ROUND_FRACTIONAL' */)
    /*M!100101 , max_statement_time = {seconds} */
