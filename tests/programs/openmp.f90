! Two threads of OpenMP: a reduction, a critical section, barriers, and private memory.
program openmp
    use omp_lib
    implicit none
    integer, parameter :: n = 1000000
    real(8) :: sum, private_sum
    integer :: i, threads, entered, phase
    real(8), allocatable :: values(:)

    allocate (values(n))
    call omp_set_num_threads(2)
    threads = 0
    entered = 0
    !$omp parallel
    !$omp master
    threads = omp_get_num_threads()
    !$omp end master
    do phase = 1, 100
        !$omp critical
        entered = entered + 1
        !$omp end critical
        !$omp barrier
    end do
    !$omp end parallel
    print '(a,i0)', 'threads ', threads
    print '(a,i0)', 'entered ', entered

    !$omp parallel do
    do i = 1, n
        values(i) = 1.0d0/(real(i, 8)*real(i, 8))
    end do
    !$omp end parallel do
    sum = 0
    !$omp parallel private(private_sum)
    private_sum = 0
    !$omp do
    do i = 1, n
        private_sum = private_sum + values(i)
    end do
    !$omp end do
    !$omp atomic
    sum = sum + private_sum
    !$omp end parallel
    print '(a,f8.5)', 'sum ', sum
end program openmp
